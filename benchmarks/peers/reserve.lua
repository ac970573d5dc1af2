-- Two lines at one node, or none: the number of the reservation, or 0 when a line is short. A cell is the units that are left, under
-- "sku:node"; a reservation is one string, which is what costs Redis least. No request ids, no expiry, no events.
-- ARGV: first SKU, draw of the second SKU, of the node, of the first units, of the second; a draw is any integer.
local nodes, skus, copies = __NODES__, __SKUS__, __COPIES__
local first = ARGV[1] % skus
local second = (first + nodes * (1 + ARGV[2] % (skus / nodes - 1))) % skus
local node = (first * 7 + (ARGV[3] % copies) * (nodes / copies)) % nodes
local first_units, second_units = 1 + ARGV[4] % 2, 1 + ARGV[5] % 2
local first_cell, second_cell = first .. ':' .. node, second .. ':' .. node
local left = redis.call('MGET', first_cell, second_cell)
if tonumber(left[1]) < first_units or tonumber(left[2]) < second_units then
    return 0
end
local number = redis.call('INCR', 'reservations')
redis.call(
    'MSET', first_cell, left[1] - first_units, second_cell, left[2] - second_units,
    'r:' .. number, node .. ' ' .. first .. ' ' .. first_units .. ' ' .. second .. ' ' .. second_units
)
return number
