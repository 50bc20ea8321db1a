//! A witness in the server itself: triggers that note whose leases ended and how, and from whom items were taken over.
//!
//! An item may be taken over only from a worker whose lease has ended; and whose lease was taken away before its time does
//! not come back under the same name. Nothing of that leans on how the program decides it.

use anyhow::Result;
use postgres::{Client, NoTls};

const TRIGGERS: &str = r"
    CREATE TABLE audit_gone (job bigint, name bytea, was_over boolean);
    CREATE TABLE audit_taken (job bigint, seq bigint, worker bytea, had_lease boolean);
    CREATE TABLE audit_back (job bigint, name bytea);
    CREATE FUNCTION audit_gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO audit_gone VALUES (OLD.job, OLD.name, OLD.expires_at <= clock_timestamp());
        RETURN NULL;
    END $$;
    CREATE FUNCTION audit_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO audit_back SELECT NEW.job, NEW.name WHERE EXISTS
            (SELECT 1 FROM audit_gone g WHERE g.job = NEW.job AND g.name = NEW.name AND NOT g.was_over);
        RETURN NEW;
    END $$;
    CREATE FUNCTION audit_taken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO audit_taken SELECT NEW.job, NEW.seq, h.payload, NOT EXISTS
            (SELECT 1 FROM audit_gone g WHERE g.job = NEW.job AND g.name = h.payload)
            FROM history h WHERE h.job = NEW.job AND h.seq = NEW.seq AND h.event = 0 AND h.version < NEW.version
            ORDER BY h.version DESC LIMIT 1;
        RETURN NULL;
    END $$;
    CREATE TRIGGER audit_gone AFTER DELETE ON workers FOR EACH ROW EXECUTE FUNCTION audit_gone();
    CREATE TRIGGER audit_back BEFORE INSERT ON workers FOR EACH ROW EXECUTE FUNCTION audit_back();
    -- A crash is what a take-over of an item whose agent has started is noted as.
    CREATE TRIGGER audit_taken_first AFTER INSERT ON states FOR EACH ROW WHEN (NEW.crashes > 0)
        EXECUTE FUNCTION audit_taken();
    CREATE TRIGGER audit_taken_again AFTER UPDATE ON states FOR EACH ROW WHEN (NEW.crashes > OLD.crashes)
        EXECUTE FUNCTION audit_taken();
";

/// The server, seen from within.
pub struct Audit {
    url: String,
    schema: String,
}

impl Audit {
    /// Watches over the store in a schema, which must be there.
    pub fn begin(url: &str, schema: &str) -> Result<Self> {
        let audit = Self { url: url.to_owned(), schema: schema.to_owned() };
        audit.client()?.batch_execute(TRIGGERS)?;
        Ok(audit)
    }

    /// The same, on the server that has taken the other's place.
    pub fn moved(&mut self, url: &str) {
        url.clone_into(&mut self.url);
    }

    /// A connection to the schema.
    pub fn client(&self) -> Result<Client> {
        let mut client = Client::connect(&self.url, NoTls)?;
        client.batch_execute(&format!("SET search_path TO \"{}\"", self.schema))?;
        Ok(client)
    }

    /// From whom items were taken over, once for each.
    pub fn taken(&self) -> Result<Vec<String>> {
        let rows = self.client()?.query("SELECT convert_from(worker, 'UTF8') FROM audit_taken", &[])?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// What was done to those who had a lease.
    pub fn wrong(&self) -> Result<Vec<String>> {
        let mut client = self.client()?;
        let mut wrong = Vec::new();
        let taken = "SELECT seq, convert_from(worker, 'UTF8') FROM audit_taken WHERE had_lease";
        for row in client.query(taken, &[])? {
            let (seq, worker): (i64, String) = (row.get(0), row.get(1));
            wrong.push(format!("item {seq} was taken from {worker}, whose lease had not ended"));
        }
        for row in client.query("SELECT DISTINCT convert_from(name, 'UTF8') FROM audit_back", &[])? {
            let worker: String = row.get(0);
            wrong.push(format!("the lease of {worker} was ended before its time, and it is alive"));
        }
        Ok(wrong)
    }
}
