-- As reserve.lua, for many reservations in one script: all cells are read at once, decided one after the other, and written at once, for each
-- call of Redis out of a script costs about a microsecond. Returns how many were granted. ARGV: five for each reservation.
local nodes, skus, copies = __NODES__, __SKUS__, __COPIES__
local asked, names, count = {}, {}, #ARGV / 5
for n = 1, count do
    local at = 5 * n - 5
    local first = ARGV[at + 1] % skus
    local second = (first + nodes * (1 + ARGV[at + 2] % (skus / nodes - 1))) % skus
    local node = (first * 7 + (ARGV[at + 3] % copies) * (nodes / copies)) % nodes
    asked[n] = {node, first, 1 + ARGV[at + 4] % 2, second, 1 + ARGV[at + 5] % 2}
    names[2 * n - 1], names[2 * n] = first .. ':' .. node, second .. ':' .. node
end
local left, told = {}, redis.call('MGET', unpack(names))
for n = 1, 2 * count do
    left[names[n]] = tonumber(told[n])
end
local granted = {}
for n = 1, count do
    local one, first_cell, second_cell = asked[n], names[2 * n - 1], names[2 * n]
    if left[first_cell] >= one[3] and left[second_cell] >= one[5] then
        left[first_cell] = left[first_cell] - one[3]
        left[second_cell] = left[second_cell] - one[5]
        granted[#granted + 1] = one
    end
end
local number = redis.call('INCRBY', 'reservations', #granted) - #granted
local writes = {}
for n = 1, #granted do
    writes[2 * n - 1] = 'r:' .. (number + n)
    writes[2 * n] = table.concat(granted[n], ' ')
end
for cell, units in pairs(left) do
    writes[#writes + 1] = cell
    writes[#writes + 1] = units
end
redis.call('MSET', unpack(writes))
return #granted
