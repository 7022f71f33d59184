-- bad: a password, a hash, a user changed
CREATE USER u IDENTIFIED BY 'pw';
CREATE USER v IDENTIFIED WITH sha256_hash BY '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08';
ALTER USER u IDENTIFIED WITH plaintext_password BY 'pw2';
-- bad: in functions, sources and URLs
CREATE DICTIONARY d (a UInt64, b String) PRIMARY KEY a SOURCE(CLICKHOUSE(TABLE 't' USER 'u' PASSWORD 'pw')) LAYOUT(FLAT()) LIFETIME(60);
INSERT INTO FUNCTION s3('https://b/x', 'AKIA0000000000000000', 'abcdefghij0123456789ABCDEFGHIJ0123456789', 'CSV') SELECT 1;
INSERT INTO FUNCTION url('http://u:pw@h/x', 'CSV', 'a UInt8') SELECT 1;
CREATE NAMED COLLECTION c AS url = 'http://h', secret_access_key = 'pw';
-- good: names, places and no password
CREATE USER u NOT IDENTIFIED;
CREATE TABLE t (k String COMMENT 'password: BY the user', password String DEFAULT 'x') ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT k FROM t WHERE password = 'x' AND k = 'https://a.b/c@d';
INSERT INTO FUNCTION s3('https://b/x', 'CSV', 'a UInt8, b DateTime64(3)') SELECT 1;
