-- Each line is a case, its statements between two semicolons. The last is to give the same here and in Postgres,
-- refusals included; what stands behind `-- params` are its parameters.
select * from t order by id
select id, a from t order by a desc, id
select count(*) from t
select sum(n) from t
select sum(f), avg(f) from t
select sum(big) from t
select max(at) from t
select min(d), max(d) from t
select min(ts) from t
select max(u::text) from t
select a, count(*) from t group by a order by a
select a, count(*) as c from t group by a having count(*) > 1
select b from t where b like 'a%' order by id
select b from t where b ilike 'B%' order by id
select b from t where b not like '%e%' order by id
select b from t where b ~ '^a.*e$' order by id
select b from t where b ~* '^B' order by id
select upper(b), lower(b), length(b) from t order by id
select b || '!' as bang from t order by id
select 'a' || 1 as x
select a + 1 as p, a * 2 as m, a - 1 as q, a / 2 as d, a % 2 as r from t order by id
select 1 + 1.5 as s, 2 * 1.5 as p, 0.1 + 0.2 as q
select 0.1::float8 + 0.2::float8 as q
select ceil(1.2) as a, floor(-1.2) as b, abs(-3) as c, sign(-2) as d, trunc(1.9) as e
select greatest(1, 2, 3) as a, least(1, 2) as b
select case when a > 1 then 'big' else 'small' end as size from t order by id
select case a when 1 then 'one' when 2 then 'two' end as w from t order by id
select a > 1 as more, a = 2 as two, a is null as none from t order by id
select a between 1 and 2 as bt from t order by id
select not ok as no from t order by id
select ok and a > 1 as both, ok or a > 1 as any_ from t order by id
select distinct a from t order by a
select distinct b, a from t order by b collate "C", a
select t.id, o.qty from t join o on o.t_id = t.id order by o.id
select t.id, o.qty from t left join o on o.t_id = t.id order by t.id, o.id
select t.id, o.id as oid from t right join o on o.t_id = t.id order by o.id
select t.id, o.id as oid from t full join o on o.t_id = t.id order by t.id, o.id
select t.b, sum(o.qty * o.price) as total from t join o on o.t_id = t.id group by t.b order by t.b
select t.b, sum(o.qty * o.price) as total from t join o on o.t_id = t.id group by t.id, t.b order by total desc
select * from o where t_id in (select id from t where a = 1) order by id
select * from t cross join o where t.id = 1 and o.id = 1
select id from t where exists (select 1 from o where o.t_id = t.id) order by id
select id, (select count(*) from o where o.t_id = t.id) as orders from t order by id
with x as (select a from t where a > 1) select a, count(*) from x group by a order by a
with recursive c(n) as (select 1 union all select n + 1 from c where n < 5) select n from c
select id, row_number() over (order by id desc) as r from t order by id
select id, rank() over (order by a) as r, dense_rank() over (order by a) as dr from t order by id
select id, sum(a) over (partition by a order by id) as s from t order by id
select id, lag(a) over (order by id) as prev, lead(a, 1, 0) over (order by id) as next from t order by id
select id, first_value(b) over (order by id) as f, ntile(2) over (order by id) as q from t order by id
select a from t union select qty from o order by 1
select a from t union all select qty from o order by 1
select a from t intersect select qty from o order by 1
select a from t except select qty from o order by 1
select now() > '2020-01-01' as later
select at from t order by at
select at::date as day from t order by id
select at::text from t where id = 1
select d::text, ts::text from t where id in (1,2) order by id
select ts from t order by ts
select d from t order by d
select date_trunc('day', at) as day from t order by id
select date_trunc('month', at) as m, count(*) from t group by 1 order by 1
select date_trunc('hour', ts) as h from t order by id
select at + interval '1 day' as next from t order by id
select at - interval '2 hours 30 minutes' as prev from t order by id
select d + interval '1 month' as n from t order by id
select id from t where at > now() - interval '100 years' order by id
select id from t where at > '2026-01-01' order by id
select id from t where at >= '2026-01-01T10:00:00Z' order by id
select id from t where d = '2026-01-01'
select id from t where d between '2025-12-31' and '2026-01-01' order by id
select extract(year from at) as y from t order by id
select extract(epoch from at) as e from t where id = 1
select extract(month from d) as m, extract(dow from d) as w from t order by id
select u from t where u = '11111111-1111-1111-1111-111111111111'
select id from t where u in ('11111111-1111-1111-1111-111111111111', '22222222-2222-2222-2222-222222222222') order by id
select j->'k' as k, j->>'k' as kt from t order by id
select j->'l'->0 as l0, j->'l'->>1 as l1 from t order by id
select id from t where j->>'k' = '2'
select id from t where (j->>'k')::int > 1
select j from t order by id
select jsonb_build_object('a', a, 'b', b) as o from t order by id
select json_agg(b) from (select b from t order by id) q
select array_agg(a) from (select a from t order by id) q
select string_agg(b, ', ') from (select b from t order by id) q
select tags from t order by id
select id from t where 'x' = any(tags)
select id from t where a = any(array[1,3]) order by id
select id from t where a = any($1) order by id -- params [[1,3]]
select id from t where a = $1 and b = $2 -- params [1,"apple"]
select $1::int + 1 as n -- params [2]
select $1::text as n -- params ["x"]
select id from t where b ilike $1 order by id -- params ["%an%"]
select id from t where ok = $1 order by id -- params [true]
select id from t where at > $1 order by id -- params ["2026-01-15T00:00:00Z"]
select ok::text, ok::int from t order by id
select '1'::int as a, '1.5'::numeric as b, 't'::boolean as c, '2026-01-01'::date as d, 'x'::text as e
select 1::text as a, 1.5::int as b, 2.5::int as c, true::int as d, 1::boolean as e
select cast('12' as integer) as a, cast(a as text) as b from t order by id
select f from t order by f
select n from t order by n
select n::float8 as x, n::int as i, n::text as s from t order by id
select big, big + 1 as p, big::text as s from t order by id
select trim('  x ') as a, ltrim(' x') as b, rtrim('x ') as c, btrim('xxaxx', 'x') as d
select substr('hello', 2, 3) as a, substring('hello', 2) as b, replace('aXbX', 'X', '-') as c
select strpos('hello', 'l') as a, reverse('abc') as b, repeat('ab', 2) as c, split_part('a,b,c', ',', 2) as d
select md5('a') as m
select left('hello', 2) as a, right('hello', 2) as b
select lpad('7', 3, '0') as a, rpad('7', 3, '0') as b
select initcap('hello world') as i
select ascii('a') as a, chr(65) as b
select to_char(at, 'YYYY-MM-DD') as d from t order by id
select position('l' in 'hello') as p
select null as n, true as t, false as f, 1 as i, 1.5 as d, 'x' as s
select 1
select 'x'
select 1 as "Weird Name"
select a as b, b as a from t order by id
select t.* from t where id = 1
select t.id, t.* from t where id = 1
select count(distinct a) from t
select count(a), count(*) from t where a > 100
select sum(a) from t where a > 100
select count(*) filter (where a > 1) as c from t
select bool_and(ok), bool_or(ok) from t
select id from t where a in (1, 3) and not (b = 'apple') order by id
select id from t where b in ('apple', 'cherry') order by id
select id from t where n is not null and n > 1.5 order by id
select id from t where n = 2.25
select id from t where n = '2.25'
select id from t where f = 2.5
select id from t where big = 9007199254740993
select id from t where ok order by id
select id from t where not ok order by id
select id from t where ok is true order by id
select id from t where ok is not true order by id
select id from t where ok is null order by id
select id from t where a is distinct from 2 order by id
select id from t where b > 'b' order by id
select id from t where (a, b) = (1, 'apple')
select id from t limit 2
select id from t order by id desc limit 1 offset 1
insert into t (a,b) values (5,'x') returning *
insert into t (a,b) values (5,'x'),(6,'y')
insert into t (a,b) values (5,'x') returning id, a + 1 as next, upper(b) as ub, at
update t set a = a + 1 where id = 1 returning a, n, at
update t set n = n * 2 returning id, n
update t set b = 'z' where id > 100
delete from t where id = 3 returning id, b
delete from o;; select count(*) from o
insert into t (id, a) values (1, 1)
insert into t (id, a) values (1, 9) on conflict (id) do update set a = excluded.a returning id, a
insert into t (id, a) values (1, 9) on conflict do nothing
insert into t (id, a) values (1, 9) on conflict (id) do nothing returning id
insert into o (t_id) values (99)
insert into o (t_id, qty) values (1, null)
insert into t (a) values ('x')
insert into t (a) values ('7') returning a
insert into t (at) values ('not a time')
insert into t (at) values ('2026-03-01') returning at
insert into t (at) values ('2026-03-01 10:00:00+02') returning at
insert into t (d) values ('2026-03-01T10:00:00Z') returning d
insert into t (u) values ('nope')
insert into t (u) values ('AAAAAAAA-1111-1111-1111-111111111111') returning u
insert into t (j) values ('{bad')
insert into t (j) values ('{"b":1,"a":2,"a":3}') returning j
insert into t (j) values ($1) returning j -- params ["{\"x\":[1,2]}"]
insert into t (tags) values ('{a,"b c"}') returning tags
insert into t (tags) values (array['a','b']) returning tags
insert into t (tags) values ($1) returning tags -- params [["p","q"]]
insert into t (ok) values ('yes') returning ok
insert into t (n) values ('12.345') returning n
insert into t (n) values (123456789.99)
insert into t (big) values (9223372036854775807) returning big
insert into t (big) values (9223372036854775808)
insert into t (a) values (2147483648)
insert into t (f) values ('1e10') returning f
insert into t (nope) values (1)
select nope from t
select * from nope
selct 1
select 1/0
select 1.0/0
select 'x'::int
select a || b from t order by id
select sum(b) from t
select b + 1 from t
create table x (id bigint generated always as identity primary key, v text);; insert into x (v) values ('a') returning *
create table x (id bigserial primary key, v text unique);; insert into x (v) values ('a'), ('a')
create table x (id serial, v text check (length(v) < 3));; insert into x (v) values ('abcd')
create table x (id uuid primary key default gen_random_uuid(), v text default 'k', w timestamptz default now(), z boolean default false, y int[] default '{}');; insert into x (v) values ('q') returning v, z, y
create table x (a int, b int, primary key (a, b));; insert into x values (1,2);; insert into x values (1,2)
create table x (a int);; create table x (a int)
create table x as select id, a from t;; select * from x order by id
create index on t (a);; select count(*) from t
create unique index i on t (b);; insert into t (b) values ('apple')
alter table t add column c int default 5;; select c from t where id = 1
alter table t add column c text;; update t set c = 'x' where id = 1;; select id, c from t where c is not null
alter table t drop column b;; select * from o where id = 1
alter table t rename column a to aa;; select aa from t where id = 1
alter table t rename to tt;; select id from tt order by id
drop table o;; select * from o
drop table t
truncate o;; select count(*) from o
truncate o restart identity;; insert into o (qty) values (1) returning id
create view v as select id, b, at, n from t;; select * from v order by id
create view v as select t.id, sum(o.qty) as q from t join o on o.t_id = t.id group by t.id;; select * from v order by id
begin; insert into t (a) values (77); rollback;; select count(*) from t where a = 77
begin; insert into t (a) values (77); commit;; select count(*) from t where a = 77
insert into t (a) select qty from o returning a
insert into t (a) select qty from o order by id
update t set a = o.qty from o where o.t_id = t.id and o.id = 3 returning t.id, t.a
update t set (a, b) = (1, 'q') where id = 1 returning a, b
update t set a = (select max(qty) from o) where id = 1 returning a
delete from t where id not in (select t_id from o where t_id is not null) returning id
select t.id, o.qty from t, o where t.id = o.t_id order by o.id
select x.a, y.qty from (select id, a from t) x join (select t_id, qty from o) y on y.t_id = x.id order by x.a, y.qty
select q.day, q.c from (select at::date as day, count(*) as c from t group by 1) q order by q.day
with s as (select id, at, n from t) select * from s order by id
with s as (select max(at) as m from t) select m from s
select id, n from t order by n desc nulls last, id limit 2
select coalesce(b, 'none') as b, coalesce(at, '2020-01-01') as at, coalesce(ok, false) as ok from t order by id
select case when ok then at else null end as w from t order by id
select (select max(at) from t) as newest
select (select n from t where id = 1) as n1, (select ok from t where id = 1) as ok1, (select j from t where id = 1) as j1
select nullif(b, 'apple') as nb, nullif(n, 1.5) as nn from t order by id
select greatest(a, null, 2) as g, least(null, a) as l from t order by id
select max(n), min(n), max(f), max(big), max(b) from t
select d - '2025-12-31'::date as days from t order by id
select d + 1 as next from t order by id
select now()::date = current_date as same
select -a as neg, -n as nn, +a as pos from t order by id
select a::numeric(10,2) as x, n::numeric(10,1) as y from t order by id
select sum(n)::float8 as s, sum(a)::int as i from t
select round(n, 1) as r, round(avg(n), 2) as ra from t group by n order by n
select round(sum(o.qty * o.price), 2) as total, count(*)::int as c from o
select qty * price as line from o order by id
select abs(n - 10) as x, floor(n) as fl, ceil(f) as cf from t order by id
select sum(case when ok then 1 else 0 end) as c from t
select count(*) * 2 as dbl, count(*) + 0.5 as h from t
select count(*) > 2 as many, max(a) = 3 as three from t
select j || '{"z":1}' as m from t where id = 2
select tags || array['q'] as m from t where id = 1
select 'a' in ('a','b') as x, 1 = any('{1,2}'::int[]) as y
select array_length(tags, 1) as l, cardinality(tags) as c from t order by id
select id, sum(n) over (order by id) as running from t order by id
select id, max(at) over () as m from t order by id
select b, count(*) over () as total from t order by id limit 1
select 'it''s' as q, E'a\nb' as e, $$x'y$$ as d
select 'abc' like 'a_c' as l, 'abc' like 'A%' as c, 'a%c' like 'a\%c' as esc
select '2026-01-01'::timestamptz as a, '2026-01-01T00:00:00+02:00'::timestamptz as b, timestamp '2026-01-01 10:00' as c, date '2026-01-01' as d
select interval '1 day' as i
select null::int as a, null::text as b, null::timestamptz as c
select true and null as a, null or true as b, not null::boolean as c, null = null as d
select 5 between 1 and 10 as a, 5 not in (1,2) as b, 'x' is not null as c
select id from t order by b
select b from t group by b having max(a) > 1 order by b
select count(*) from t where b = 'APPLE'
select id from t where b = b order by id desc fetch first 2 rows only
select exists (select 1 from t) as e, not exists (select 1 from o where false) as ne
select t.id, count(o.id) as c, coalesce(sum(o.qty), 0) as q from t left join o on o.t_id = t.id group by t.id order by t.id
select date_part('year', at) as y from t order by id
select a, b from t where id = 1 for update
values (1, 'a'), (2, 'b')
select id as "ID", b "Bee" from t where id = 1
select o.* , t.b from o left join t on t.id = o.t_id order by o.id
select a.id from t as a join t as b on a.a = b.a and a.id < b.id
select id from t natural join (select 1 as id) q
select id, qty from t join o using (id) order by id
select current_date = now()::date as c, current_timestamp <= now() as d
insert into t default values returning id, a
select 1 as a union select 2 order by a desc
select * from t where false
select id from t where b in (select null) or id = 1
select id from t where a not in (select t_id from o)
create view v as select t.id, sum(o.qty) as q, max(t.at) as last, t.n / 2 as half from t join o on o.t_id = t.id group by t.id, t.n;; select q, last from v order by id
create view v as select max(at) as last from t;; create view w as select last from v;; select last from w
create view v as select id, ok and a > 1 as yes from t;; alter table t rename column a to aa;; select yes from v order by id
create table x as select id, at, n, ok, j from t;; select * from x order by id
create table x as select max(at) as m, count(*) as c from t;; select m, c from x
create table if not exists t as select 1 as a;; select count(*) from t
create table if not exists x as select 1 as a;; select a from x
select id from t where n / 3 > 0.7 order by id
select id from t where d + 1 = '2026-01-02'
select id from t where d - 1 = '2025-12-31' order by id
select id, d - current_date < 0 as past from t order by id
update o set price = price / 3 where id = 1 returning price
update o set price = price / 2, qty = qty / 2 where id = 3 returning price, qty
update t set d = d + 7 where id = 1 returning d
update t set j = j || '{"z": 1}' where id = 2 returning j
update t set tags = tags || array['q'] where id = 1 returning tags
update t set j = j - 'k' where id = 2 returning j
insert into t (d, n) values ('2026-01-01'::date + 1, 10.0 / 4) returning d, n
insert into t (a) values (1) on conflict (id) do update set a = t.a / 0
insert into o (price) select n / 4 from t where id = 4 returning price
delete from o where price / 2 > 10 returning id
select id from t order by n / 3 desc nulls last, id limit 2
select t.id from t join o on o.t_id = t.id and o.price / 2 > 1 order by t.id
select case when n / 4 > 2 then 'big' else 'small' end as s from t order by id
select sum(n) / count(n) > 4 as big from t
select 7 / 2 * 2 as a, 7 / 2 + 1.5 as b, (7 / 2)::text as c
select 7 % 0
select a / 0 from t
select n % 1 as r from t where id = 1
select -7 / 2 as a, -(7 / 2) as b, 7 / -2 as c
select at::date + 1 as next from t where id = 1
select date '2026-03-01' - 1 as d, date '2026-03-01' - date '2026-02-01' as n
select 'on ' || d as s from t where id = 1
select b || at::date as s from t where id = 1
select n::text || '!' as s, a::text as i from t where id = 1
select at::text as x, ts::text, t.d::text from t where id = 1
select extract(hour from at) as h, extract(minute from ts) as m, extract(quarter from d) as q from t where id = 1
select extract(isodow from d) as i, extract(doy from d) as y, extract(week from d) as w from t where id = 2
select to_char(at, 'YYYY-MM-DD HH24:MI:SS') as a, to_char(at, 'Mon DD, YYYY') as b, to_char(d, 'Day') as c from t where id = 1
select to_char(at, 'DD.MM.YY "um" HH12 AM') as a from t where id = 2
select initcap('o''neil is-here') as a, lpad('abc', 2) as b, rpad('a', 5, 'xy') as c, left('hello', -2) as d, right('hello', -2) as e
select split_part('a,b,c', ',', 2) as a, strpos('hello', 'z') as b, position('' in 'x') as c, reverse('') as d
select regexp_replace('aXbX', 'X', '-') as a, regexp_replace('aXbX', 'x', '-', 'gi') as b, regexp_replace('ab', '(a)(b)', '\2\1') as c
select translate('12345', '143', 'ax') as t, concat_ws('-', 1, null, 'b') as c, starts_with('abc', 'ab') as s
select jsonb_typeof('1') as a, jsonb_typeof('null') as b, jsonb_typeof(j) as c from t order by id
select cardinality(array[1,2,3]) as a, array_length('{}'::int[], 1) as b
select '{"b":1,"aa":2,"a":3}'::jsonb as j, '{"b":1,"a":2}'::jsonb = '{"a":2,"b":1}'::jsonb as same
select jsonb_build_object('b', 1, 'a', array[1,2]) as o
select greatest('b', 'a') as t, least(1.5, 2) as n, greatest(null, null) as x
select max(n) - min(n) as r, max(d) - min(d) as days from t
select sum(a) / 2 as h, sum(a) * 1.5 as m, count(*) / 3 as t from t
select lag(at) over (order by id) as p from t order by id
select first_value(n) over (order by id) as p, sum(a) over () as s from t order by id limit 1
select array_agg(d) from (select d from t where d is not null order by d) q
select n, count(*) from t group by n order by n
select distinct n from t order by n
select at, sum(n) as s from t group by at order by at limit 2
select id from t where (n / 2)::int = 1 order by id
select count(*) filter (where n / 2 > 1) as c from t
select a from t union select qty / 2 from o order by 1
select null::numeric(5,2) as n, 3::numeric(5,2) as m, '7'::numeric as k
select n is null as a, n is not distinct from 2.25 as b, not (a > 1) as c from t order by id
select a in (1,2) as i, b like 'a%' as l, a between 1 and 2 and ok as bt, (a, b) = (1, 'apple') as r from t order by id
select exists (select 1 from o where o.t_id = t.id) as e from t order by id
select 1 as a, null as b, 'x' as c, $1::int as d -- params [4]
select cast(n as text) as t, cast('5' as int) + 1 as i from t where id = 1
select jsonb_build_object('h', n / 4) -> 'h' > '2' as o from t where id = 4
select concat('x', a / 2, '-', (n / 4)::numeric(4,1)) as c from t where id = 4
select count(*) filter (where n / 4 > 2.2) as c, count(n / 4 > 2.4) as d from t
select id, rank() over (order by n / 3 desc nulls last) as r from t order by id
select id from t where n / 4 in (2.5, 1) or 5 / 2 = any(array[7]) order by id
select id from t where 2.5 in (n / 4, 1) order by id
select (n / 4, 1) = (2.5, 1) as same from t where id = 4
insert into o (price, qty) values (1, 7 / 2), (10.0 / 4, 9 / 2), (3, 1) returning price, qty
insert into t (d) values ('2026-01-01'::date + 1), ('2026-01-01'::date + 2) returning d
update t as x set n = x.n / 4 where x.id = 4 returning n
update t set n = o.price / 3 from o where o.t_id = t.id and o.id = 3 returning t.n
insert into t (id, n) values (4, 10) on conflict (id) do update set n = excluded.n / 4 returning n
insert into t (id, n) values (4, 10) on conflict (id) do update set n = t.n / 4 where t.n / 4 > 2.2 returning n
delete from o where price / 3 > 33 and id in (select id from o where qty / 2 = 2) returning id
create view v as select id, n / 4 > 2.2 as h from t;; select * from v order by id
select sum(n / 4) > 3 as s, max(n / 4) = 2.5 as m, lower(b) as l from t group by b order by b
select b from t where length(b) / 2 = 2
select substr(b, 5 / 2) as s from t where id = 1
select case when n / 4 > 2.2 then n / 4 > 2.4 else false end as c from t order by id
select id from t where exists (select 1 from o where o.price / 40 > 2.4 and o.t_id = t.id)
select id from t where n / 4 between 2.4 and 5 / 2 + 1 order by id
insert into o (t_id, price) select t.id, t.n / 4 from t join o as x on x.t_id = t.id and x.price / 40 > 2.4 where t.n / 4 < 9 on conflict (id) do nothing returning price
insert into o (t_id, price) select t.id, t.n / 4 from t left join o as x on x.t_id = t.id where t.n / 4 > 2.4 returning price
