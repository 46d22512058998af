//! The table of the demo, and the life in it.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::{MissedTickBehavior, interval};

use crate::config::PostgresConfig;

/// How often something changes: slowly enough to be read.
const CHANGE_INTERVAL: Duration = Duration::from_secs(1);

const CREATE: &str = "
    create table orders (
        id bigint generated always as identity primary key,
        customer text not null,
        item text not null,
        quantity integer not null,
        placed_at timestamptz not null default now(),
        shipped boolean not null default false
    )";

/// The rows that the snapshot has: those of the last hours, the older ones shipped.
const FILL: &str = "
    insert into orders (customer, item, quantity, placed_at, shipped)
    select (array['Ada', 'Grace', 'Edgar', 'Barbara', 'Alan', 'Radia', 'Donald'])[1 + n % 7],
           (array['green tea', 'pencils', 'a kite', 'honey', 'an umbrella'])[1 + n % 5],
           1 + n % 4, now() - (37 - n) * interval '11 minutes', n < 30
    from generate_series(1, 36) as n";

const PLACE: &str = "
    insert into orders (customer, item, quantity)
    select (array['Ada', 'Grace', 'Edgar', 'Barbara', 'Alan', 'Radia', 'Donald'])[1 + n % 7],
           (array['green tea', 'pencils', 'a kite', 'honey', 'an umbrella'])[1 + n % 5],
           1 + n % 4
    from (select max(id) + 1 as n from orders) as last";

const THINK_AGAIN: &str = "update orders set quantity = quantity + 1 where id = (select max(id) from orders)";

const SHIP: &str = "update orders set shipped = true where id = (select min(id) from orders where not shipped)";

/// Keeps the table small, however long the demo runs.
const FORGET: &str = "delete from orders where id <= (select max(id) - 36 from orders)";

/// What happens, one a time, again and again.
const CHANGES: [&str; 6] = [PLACE, THINK_AGAIN, SHIP, PLACE, SHIP, FORGET];

/// The table cannot be made or changed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct OrdersError(#[from] sqlx::Error);

/// The table, and the connection that changes it.
pub(super) struct Orders {
    connection: PgConnection,
}

impl Orders {
    /// Makes the table and fills it.
    pub(super) async fn create(postgres: &PostgresConfig) -> Result<Self, OrdersError> {
        let options = PgConnectOptions::new_without_pgpass()
            .host(&postgres.host)
            .port(postgres.port)
            .username(&postgres.user)
            .database(&postgres.database)
            .ssl_mode(PgSslMode::Disable)
            .application_name("pgdeltastream demo");
        let mut connection = options.connect().await?;
        let mut transaction = connection.begin().await?;
        for statement in [CREATE, FILL] {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(Self { connection })
    }

    /// Changes the table, a transaction at a time, until it fails.
    pub(super) async fn keep_changing(&mut self) -> Result<(), OrdersError> {
        let mut ticks = interval(CHANGE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for change in CHANGES.into_iter().cycle() {
            ticks.tick().await;
            sqlx::query(change).execute(&mut self.connection).await?;
        }
        Ok(())
    }
}
