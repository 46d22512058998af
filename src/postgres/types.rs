//! How the values of a type are written, as the catalogue has it: domains are their base, arrays are of something.

use std::collections::HashMap;

use sqlx::PgConnection;
use sqlx::postgres::types::Oid;

use super::service::{Database, QueryError, short};
use super::view::View;
use crate::row::Encoding;

/// Each type, and below it what a domain is over and what an array is of.
const TYPES: &str = "
WITH RECURSIVE step AS (
    SELECT type AS asked, type, 0 AS depth FROM (SELECT DISTINCT unnest($1::oid[])) AS asked (type)
  UNION ALL
    SELECT s.asked, CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.typelem END, s.depth + 1
    FROM step s JOIN pg_type t ON t.oid = s.type WHERE t.typtype = 'd' OR t.typoutput = 'array_out'::regproc)
SELECT s.asked, t.oid, t.typtype = 'd', t.typtype <> 'd' AND t.typoutput = 'array_out'::regproc, ascii(t.typdelim::text)
FROM step s JOIN pg_type t ON t.oid = s.type ORDER BY s.asked, s.depth DESC";

impl Database {
    /// How values of types are written, for each of them; none before the catalogue has seen the transaction.
    pub async fn encodings(&self, types: &[u32], xid: Option<u32>) -> Result<Option<Vec<(u32, Encoding)>>, QueryError> {
        let Some(mut view) = View::open(self, xid).await? else { return Ok(None) };
        let found = encodings(view.connection()?, types.iter().copied()).await?;
        view.close().await?;
        Ok(Some(types.iter().map(|oid| (*oid, encoding_of(&found, *oid))).collect()))
    }
}

/// How values of types are written.
pub(super) async fn encodings(
    connection: &mut PgConnection,
    types: impl Iterator<Item = u32>,
) -> Result<HashMap<u32, Encoding>, QueryError> {
    let types: Vec<Oid> = types.map(Oid).collect();
    let rows: Vec<(Oid, Oid, bool, bool, i32)> = short(sqlx::query_as(TYPES).bind(types).fetch_all(connection)).await?;
    let mut encodings = HashMap::new();
    // Those of one type follow each other, from the inside out.
    for (Oid(asked), Oid(oid), is_domain, is_array, delimiter) in rows {
        let encoding = match encodings.remove(&asked) {
            Some(element) if is_array => Encoding::Array { element: Box::new(element), delimiter: u8::try_from(delimiter).unwrap_or(b',') },
            Some(base) if is_domain => base,
            _ => Encoding::of_scalar(oid),
        };
        encodings.insert(asked, encoding);
    }
    Ok(encodings)
}

/// A type that is not there any more is text.
pub(super) fn encoding_of(encodings: &HashMap<u32, Encoding>, oid: u32) -> Encoding {
    encodings.get(&oid).cloned().unwrap_or(Encoding::Text)
}
