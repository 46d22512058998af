-- Tables of many columns, and of none.

CREATE TABLE t (c1 text, c2 numeric(10,2), c3 boolean, c4 timestamptz, c5 varchar(9), c6 double precision, c7 date, c8 integer, c9 text, c10 numeric(10,2), c11 boolean, c12 timestamptz, c13 varchar(9), c14 double precision, c15 date, c16 integer, c17 text, c18 numeric(10,2), c19 boolean, c20 timestamptz, c21 varchar(9), c22 double precision, c23 date, c24 integer, c25 text, c26 numeric(10,2), c27 boolean, c28 timestamptz, c29 varchar(9), c30 double precision, c31 date, c32 integer, c33 text, c34 numeric(10,2), c35 boolean, c36 timestamptz, c37 varchar(9), c38 double precision, c39 date, c40 integer, c41 text, c42 numeric(10,2), c43 boolean, c44 timestamptz, c45 varchar(9), c46 double precision, c47 date, c48 integer, c49 text, c50 numeric(10,2), c51 boolean, c52 timestamptz, c53 varchar(9), c54 double precision, c55 date, c56 integer, c57 text, c58 numeric(10,2), c59 boolean, c60 timestamptz, c61 varchar(9), c62 double precision, c63 date, c64 integer, c65 text, c66 numeric(10,2), c67 boolean, c68 timestamptz, c69 varchar(9), c70 double precision, c71 date, c72 integer, c73 text, c74 numeric(10,2), c75 boolean, c76 timestamptz, c77 varchar(9), c78 double precision, c79 date, c80 integer, c81 text, c82 numeric(10,2), c83 boolean, c84 timestamptz, c85 varchar(9), c86 double precision, c87 date, c88 integer, c89 text, c90 numeric(10,2), c91 boolean, c92 timestamptz, c93 varchar(9), c94 double precision, c95 date, c96 integer, c97 text, c98 numeric(10,2), c99 boolean, c100 timestamptz, c101 varchar(9), c102 double precision, c103 date, c104 integer, c105 text, c106 numeric(10,2), c107 boolean, c108 timestamptz, c109 varchar(9), c110 double precision, c111 date, c112 integer, c113 text, c114 numeric(10,2), c115 boolean, c116 timestamptz, c117 varchar(9), c118 double precision, c119 date, c120 integer, c121 text, c122 numeric(10,2), c123 boolean, c124 timestamptz, c125 varchar(9), c126 double precision, c127 date, c128 integer, c129 text, c130 numeric(10,2), c131 boolean, c132 timestamptz, c133 varchar(9), c134 double precision, c135 date, c136 integer, c137 text, c138 numeric(10,2), c139 boolean, c140 timestamptz, c141 varchar(9), c142 double precision, c143 date, c144 integer, c145 text, c146 numeric(10,2), c147 boolean, c148 timestamptz, c149 varchar(9), c150 double precision, c151 date, c152 integer, c153 text, c154 numeric(10,2), c155 boolean, c156 timestamptz, c157 varchar(9), c158 double precision, c159 date, c160 integer, c161 text, c162 numeric(10,2), c163 boolean, c164 timestamptz, c165 varchar(9), c166 double precision, c167 date, c168 integer, c169 text, c170 numeric(10,2), c171 boolean, c172 timestamptz, c173 varchar(9), c174 double precision, c175 date, c176 integer, c177 text, c178 numeric(10,2), c179 boolean, c180 timestamptz, c181 varchar(9), c182 double precision, c183 date, c184 integer, c185 text, c186 numeric(10,2), c187 boolean, c188 timestamptz, c189 varchar(9), c190 double precision, c191 date, c192 integer, c193 text, c194 numeric(10,2), c195 boolean, c196 timestamptz, c197 varchar(9), c198 double precision, c199 date, c200 integer, c201 text, c202 numeric(10,2), c203 boolean, c204 timestamptz, c205 varchar(9), c206 double precision, c207 date, c208 integer, c209 text, c210 numeric(10,2), c211 boolean, c212 timestamptz, c213 varchar(9), c214 double precision, c215 date, c216 integer, c217 text, c218 numeric(10,2), c219 boolean, c220 timestamptz, c221 varchar(9), c222 double precision, c223 date, c224 integer, c225 text, c226 numeric(10,2), c227 boolean, c228 timestamptz, c229 varchar(9), c230 double precision, c231 date, c232 integer, c233 text, c234 numeric(10,2), c235 boolean, c236 timestamptz, c237 varchar(9), c238 double precision, c239 date, c240 integer, c241 text, c242 numeric(10,2), c243 boolean, c244 timestamptz, c245 varchar(9), c246 double precision, c247 date, c248 integer, c249 text, c250 numeric(10,2), c251 boolean, c252 timestamptz, c253 varchar(9), c254 double precision, c255 date, c256 integer, c257 text, c258 numeric(10,2), c259 boolean, c260 timestamptz, c261 varchar(9), c262 double precision, c263 date, c264 integer, c265 text, c266 numeric(10,2), c267 boolean, c268 timestamptz, c269 varchar(9), c270 double precision, c271 date, c272 integer, c273 text, c274 numeric(10,2), c275 boolean, c276 timestamptz, c277 varchar(9), c278 double precision, c279 date, c280 integer, c281 text, c282 numeric(10,2), c283 boolean, c284 timestamptz, c285 varchar(9), c286 double precision, c287 date, c288 integer, c289 text, c290 numeric(10,2), c291 boolean, c292 timestamptz, c293 varchar(9), c294 double precision, c295 date, c296 integer, c297 text, c298 numeric(10,2), c299 boolean, c300 timestamptz, c301 varchar(9), c302 double precision, c303 date, c304 integer, c305 text, c306 numeric(10,2), c307 boolean, c308 timestamptz, c309 varchar(9), c310 double precision, c311 date, c312 integer, c313 text, c314 numeric(10,2), c315 boolean, c316 timestamptz, c317 varchar(9), c318 double precision, c319 date, c320 integer, PRIMARY KEY (c8, c16, c24));

INSERT INTO t (c8, c16, c24) VALUES (1, 2, 3);

UPDATE t SET c1 = 'text', c2 = 1.5, c3 = true, c320 = 7;

ALTER TABLE t REPLICA IDENTITY FULL;

UPDATE t SET c8 = 10;

DELETE FROM t;

CREATE TABLE without_columns ();

INSERT INTO without_columns DEFAULT VALUES;

BEGIN; INSERT INTO without_columns DEFAULT VALUES; INSERT INTO without_columns DEFAULT VALUES; COMMIT;

ALTER TABLE without_columns REPLICA IDENTITY FULL;

DELETE FROM without_columns;

CREATE TABLE one_left (a integer, b integer);
INSERT INTO one_left VALUES (1, 2);
ALTER TABLE one_left DROP a, DROP b;

INSERT INTO one_left DEFAULT VALUES;

TRUNCATE one_left;

DO $$ BEGIN EXECUTE 'CREATE TABLE most (' || (SELECT string_agg(format('c%s "char"', n), ', ') FROM generate_series(1, 1600) AS n) || ')'; END $$;

INSERT INTO most (c1, c800, c1600) VALUES ('a', 'b', 'c'); ALTER TABLE most REPLICA IDENTITY FULL; UPDATE most SET c2 = 'd'; DELETE FROM most;
