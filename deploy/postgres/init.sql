-- Roles and schemas of CodexFlow: accounts and usage each own a schema of their own name and cannot see the other's.
-- For psql as superuser; may be run again. Passwords come from the environment: ACCOUNTS_DATABASE_PASSWORD and
-- USAGE_DATABASE_PASSWORD. Another database than `codexflow`: psql -v database=NAME.
\set ON_ERROR_STOP on
\getenv accounts_password ACCOUNTS_DATABASE_PASSWORD
\getenv usage_password USAGE_DATABASE_PASSWORD
\if :{?database}
\else
    \set database codexflow
\endif

SELECT format('CREATE ROLE %I LOGIN', role) FROM (VALUES ('accounts'), ('usage')) AS wanted (role)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec
ALTER ROLE accounts PASSWORD :'accounts_password';
ALTER ROLE usage PASSWORD :'usage_password';
ALTER ROLE accounts SET search_path = accounts;
ALTER ROLE usage SET search_path = usage;

SELECT format('CREATE DATABASE %I', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
\connect :"database"

REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE :"database" TO accounts, usage;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA IF NOT EXISTS accounts AUTHORIZATION accounts;
CREATE SCHEMA IF NOT EXISTS usage AUTHORIZATION usage;
