-- The store of a reservation service that somebody would write by hand, as lean as it can be: integers for keys, no request ids, no expiry, no
-- events; each of these costs Stockpool something and this nothing. Room on every page of stock, so that an update stays on its page.
create table stock (
    sku integer not null,
    node integer not null,
    on_hand integer not null,
    reserved integer not null default 0,
    primary key (sku, node)
) with (fillfactor = 50);

create table reservation (
    reservation_id bigint generated always as identity primary key,
    node integer not null,
    state smallint not null default 1,
    expires_at timestamptz not null
);

create table reservation_line (
    reservation_id bigint not null,
    line smallint not null,
    sku integer not null,
    units integer not null,
    primary key (reservation_id, line)
);

-- Both lines at one node, or none: the id of the reservation, or 0 when a line is short. Rows are taken in the order of their SKU, so that
-- two callers never wait for each other. A conditional update takes the lock, looks and writes in one step, which is faster than SELECT
-- FOR UPDATE; the first line is given back when the second is short, which is cheaper than the savepoint of an exception block.
create function reserve(first_sku integer, first_units integer, second_sku integer, second_units integer, at_node integer) returns bigint
language plpgsql as $$
declare
    low_sku integer := least(first_sku, second_sku);
    high_sku integer := greatest(first_sku, second_sku);
    low_units integer := case when first_sku <= second_sku then first_units else second_units end;
    high_units integer := case when first_sku <= second_sku then second_units else first_units end;
    made bigint;
begin
    update stock set reserved = reserved + low_units where sku = low_sku and node = at_node and on_hand - reserved >= low_units;
    if not found then
        return 0;
    end if;
    update stock set reserved = reserved + high_units where sku = high_sku and node = at_node and on_hand - reserved >= high_units;
    if not found then
        update stock set reserved = reserved - low_units where sku = low_sku and node = at_node;
        return 0;
    end if;
    insert into reservation (node, expires_at) values (at_node, now() + interval '15 minutes') returning reservation_id into made;
    insert into reservation_line values (made, 0, first_sku, first_units), (made, 1, second_sku, second_units);
    return made;
end
$$;

-- One call for many, one after the other. The cells are locked in one order first: two batches at a time would deadlock otherwise.
create function reserve_each(
    first_skus integer[], first_units integer[], second_skus integer[], second_units integer[], at_nodes integer[]
) returns bigint[]
language plpgsql as $$
declare
    made bigint[] := '{}';
begin
    perform 1 from stock
    where (sku, node) in (select * from unnest(first_skus || second_skus, at_nodes || at_nodes))
    order by sku, node for no key update;
    for n in 1 .. array_length(at_nodes, 1) loop
        made := made || reserve(first_skus[n], first_units[n], second_skus[n], second_units[n], at_nodes[n]);
    end loop;
    return made;
end
$$;

-- The same in sets: where every cell has what all the reservations want of it together, each is granted, and three statements do. Where
-- one has not, what was taken is given back and they are tried one after the other. The one update goes through the cells in their order.
create function reserve_all(
    first_skus integer[], first_units integer[], second_skus integer[], second_units integer[], at_nodes integer[]
) returns bigint[]
language plpgsql as $$
declare
    wanted integer;
    taken integer;
    made bigint[];
begin
    begin
        with line as (
            select sku, node, sum(units)::integer as units
            from unnest(first_skus || second_skus, at_nodes || at_nodes, first_units || second_units) as line (sku, node, units)
            group by sku, node order by sku, node
        ), updated as (
            update stock set reserved = reserved + line.units from line
            where stock.sku = line.sku and stock.node = line.node and on_hand - reserved >= line.units
            returning 1
        )
        select (select count(*) from line), (select count(*) from updated) into wanted, taken;
        if taken < wanted then
            raise exception using errcode = 'P0002';
        end if;
    exception when no_data_found then
        return reserve_each(first_skus, first_units, second_skus, second_units, at_nodes);
    end;
    with granted as (
        insert into reservation (node, expires_at)
        select node, now() + interval '15 minutes' from unnest(at_nodes) with ordinality as asked (node, n) order by n
        returning reservation_id
    )
    select array_agg(reservation_id order by reservation_id) into made from granted;
    insert into reservation_line
    select made[n], 0, sku, units from unnest(first_skus, first_units) with ordinality as line (sku, units, n)
    union all
    select made[n], 1, sku, units from unnest(second_skus, second_units) with ordinality as line (sku, units, n);
    return made;
end
$$;
