//! The throwaway cluster that the other tests stand on.

use std::net::TcpListener;
use std::path::Path;
use std::time::Instant;

use pgdeltastream::cluster::{Cluster, ClusterError, StopMode};
use sqlx::{Connection, PgConnection};

async fn ask(url: &str, question: &'static str) -> Result<String, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query_scalar(question).fetch_one(&mut connection).await
}

async fn execute(url: &str, statement: &'static str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query(statement).execute(&mut connection).await.map(drop)
}

/// Shown by `--nocapture`.
fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    println!("{what}: {} ms", start.elapsed().as_millis());
    result
}

#[tokio::test]
async fn a_cluster_answers_and_leaves_nothing_behind() {
    let cluster = timed("first start", || Cluster::start(&[("work_mem", "1MB"), ("work_mem", "5MB")])).unwrap();
    let (folder, url) = (cluster.socket_folder().to_owned(), cluster.url("postgres"));
    assert_eq!(ask(&url, "select current_setting('wal_level')").await.unwrap(), "logical");
    assert_eq!(ask(&url, "select current_setting('work_mem')").await.unwrap(), "5MB");
    let through_socket = format!("postgres://{}@localhost:{}/postgres?host={}", cluster.user(), cluster.port(), folder.display());
    assert_eq!(ask(&through_socket, "select current_setting('server_encoding')").await.unwrap(), "UTF8");
    assert!(cluster.log().unwrap().contains("ready to accept connections"));
    assert_eq!(Path::new(&ask(&url, "select current_setting('data_directory')").await.unwrap()), cluster.data_folder());

    timed("drop", || drop(cluster));
    assert!(!folder.exists());
    assert!(ask(&url, "select 'still here'").await.is_err());
}

#[tokio::test]
async fn two_clusters_do_not_meet() {
    let one = Cluster::start(&[]).unwrap();
    let other = timed("second start", || Cluster::start(&[])).unwrap();
    assert_ne!(one.port(), other.port());
    execute(&one.url("postgres"), "create table only_here ()").await.unwrap();
    assert_eq!(ask(&one.url("postgres"), "select 'only_here'::regclass::text").await.unwrap(), "only_here");
    assert!(ask(&other.url("postgres"), "select 'only_here'::regclass::text").await.is_err());
}

#[tokio::test]
async fn data_survives_restarts() {
    let mut cluster = Cluster::start(&[]).unwrap();
    let url = cluster.url("postgres");
    execute(&url, "create table kept ()").await.unwrap();
    for mode in [StopMode::Fast, StopMode::Immediate] {
        timed(&format!("stop {mode:?}"), || cluster.stop(mode)).unwrap();
        cluster.stop(mode).unwrap();
        assert!(ask(&url, "select 'up'").await.is_err());
        timed("start again", || cluster.start_again()).unwrap();
        cluster.start_again().unwrap();
        assert_eq!(ask(&url, "select 'kept'::regclass::text").await.unwrap(), "kept");
    }
    assert!(cluster.log().unwrap().contains("automatic recovery"));
    timed("restart Fast", || cluster.restart(StopMode::Fast)).unwrap();
}

#[test]
fn a_server_that_does_not_start_shows_its_log() {
    let error = timed("failing start", || Cluster::start(&[("wal_level", "nonsense")])).unwrap_err();
    assert!(matches!(error, ClusterError::NotStarted { .. }));
    assert!(error.to_string().contains("invalid value for parameter \"wal_level\""), "{error}");
}

#[test]
fn a_taken_port_is_told_from_other_troubles() {
    let mut cluster = Cluster::start(&[]).unwrap();
    cluster.stop(StopMode::Immediate).unwrap();
    let listener = TcpListener::bind((cluster.host(), cluster.port())).unwrap();
    assert!(cluster.start_again().unwrap_err().to_string().contains("Address already in use"));
    drop(listener);
    cluster.start_again().unwrap();
}
