-- Roles and schemas of CodexFlow: accounts and usage each have a schema of their own name and cannot see the other's.
-- The schema of accounts belongs to `accounts_owner`, which only the migrations use; `python -m accounts migrate` grants the
-- service's role `accounts` what it needs, which is less than everything: it cannot rewrite the audit log.
-- For psql as superuser; may be run again. Passwords come from the environment: ACCOUNTS_OWNER_DATABASE_PASSWORD,
-- ACCOUNTS_DATABASE_PASSWORD and USAGE_DATABASE_PASSWORD. Another database than `codexflow`: psql -v database=NAME.
\set ON_ERROR_STOP on
\getenv accounts_owner_password ACCOUNTS_OWNER_DATABASE_PASSWORD
\getenv accounts_password ACCOUNTS_DATABASE_PASSWORD
\getenv usage_password USAGE_DATABASE_PASSWORD
\if :{?database}
\else
    \set database codexflow
\endif

SELECT format('CREATE ROLE %I LOGIN', role) FROM (VALUES ('accounts_owner'), ('accounts'), ('usage')) AS wanted (role)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec
ALTER ROLE accounts_owner PASSWORD :'accounts_owner_password';
ALTER ROLE accounts PASSWORD :'accounts_password';
ALTER ROLE usage PASSWORD :'usage_password';
ALTER ROLE accounts_owner SET search_path = accounts;
ALTER ROLE accounts SET search_path = accounts;
ALTER ROLE usage SET search_path = usage;

SELECT format('CREATE DATABASE %I', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
\connect :"database"

REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE :"database" TO accounts_owner, accounts, usage;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA IF NOT EXISTS accounts AUTHORIZATION accounts_owner;
CREATE SCHEMA IF NOT EXISTS usage AUTHORIZATION usage;
