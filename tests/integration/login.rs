//! Every way to log in works for streams and for all other connections alike.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::harness::{Postgres, Service};

/// A name that must be quoted and a password that must be normalised: its no-break space is a space to Postgres.
const PASSWORD: &str = "pass\u{a0}wörd '\"\\";

/// Init, a row, a change: with these arguments, everything works.
async fn works(postgres: &Postgres, arguments: &[&str]) {
    let service = Service::start_with(postgres, arguments).await;
    let slot = service.init().await;
    assert_eq!(service.rows(json!({"table": "t", "offset": 0, "limit": 1})).await, [json!({"name": "a"})], "{arguments:?}");
    let mut client = service.stream(&slot).await;
    postgres.execute("INSERT INTO t VALUES ('b')").await;
    assert_eq!(client.inserted().await.0, "b", "{arguments:?}");
    postgres.execute("DELETE FROM t WHERE name = 'b'").await;
    service.stop().await;
}

async fn fails(postgres: &Postgres, arguments: &[&str], part: &str) {
    let (code, said) = Service::fail_to_start(&postgres.options, arguments).await;
    assert!(code == 1 && said.contains(part), "{arguments:?}: {said}");
    assert!(!said.contains(PASSWORD));
}

async fn setup(settings: &[(&str, &str)]) -> Postgres {
    let postgres = Postgres::with_settings(settings).await;
    postgres.execute("CREATE TABLE t (name text PRIMARY KEY); INSERT INTO t VALUES ('a')").await;
    postgres
}

#[tokio::test]
async fn passwords() {
    let postgres = setup(&[]).await;
    postgres.execute("CREATE ROLE app SUPERUSER LOGIN").await;
    for (method, encryption) in [("scram-sha-256", "scram-sha-256"), ("md5", "md5"), ("password", "scram-sha-256"), ("trust", "md5")] {
        let password = PASSWORD.replace('\'', "''");
        let role = format!("SET password_encryption = '{encryption}'; ALTER ROLE app PASSWORD '{password}'");
        postgres.execute(&role).await;
        postgres.pg_hba(&format!("host all app all {method}\nhost all postgres all trust\nlocal all all trust")).await;
        works(&postgres, &["--user", "app", "--password", PASSWORD]).await;
        if method != "trust" {
            fails(&postgres, &["--user", "app", "--password", "wrong"], "PGPASS").await;
            fails(&postgres, &["--user", "app"], "PGPASS").await;
        }
    }
}

#[tokio::test]
async fn the_variables_of_the_original_image_work() {
    let postgres = setup(&[]).await;
    postgres.execute("CREATE ROLE app SUPERUSER LOGIN PASSWORD 'geheim'").await;
    postgres.pg_hba("host all app all scram-sha-256\nhost all postgres all trust").await;
    for (user, password) in [("app", "geheim"), ("postgres", "''")] {
        let variables = [("PGUSER", user), ("PGPASS", password), ("SERVERHOST", "127.0.0.1")];
        let service = Service::start_in(&postgres, &variables).await;
        service.init().await;
        assert_eq!(service.rows(json!({"table": "t", "offset": 0, "limit": 1})).await.len(), 1);
        service.stop().await;
    }
}

#[tokio::test]
async fn unix_sockets() {
    let postgres = setup(&[]).await;
    let folder = postgres.cluster.as_ref().unwrap().socket_folder().display().to_string();
    works(&postgres, &["--pgHost", &folder]).await;
    works(&postgres, &["--pgHost", &folder, "--pgSslMode", "verify-full"]).await;
}

#[tokio::test]
async fn tls() {
    let mut postgres = setup(&[("listen_addresses", "127.0.0.1,127.0.0.2")]).await;
    let folder = postgres.cluster.as_ref().unwrap().data_folder();
    let authority = Authority::new("the authority");
    let stranger = Authority::new("a stranger");
    let trusted = write(&folder, "ca.pem", &authority.pem);
    let untrusted = write(&folder, "stranger.pem", &stranger.pem);
    let (certificate, key) = authority.sign(&["localhost", "127.0.0.1"]);
    write(&folder, "server.crt", &certificate);
    write(&folder, "server.key", &key);
    postgres.execute("ALTER SYSTEM SET ssl = on").await;
    postgres.restart(pgdeltastream::cluster::StopMode::Fast).await;
    postgres
        .pg_hba("hostssl all app all scram-sha-256\nhostssl all plain all trust\nhost all postgres all trust\nlocal all all trust")
        .await;
    postgres.execute("CREATE ROLE app SUPERUSER LOGIN PASSWORD 'geheim'").await;

    let app = ["--user", "app", "--password", "geheim"];
    let with = |more: &[&'static str]| [app.as_slice(), more].concat();
    for mode in ["prefer", "require"] {
        works(&postgres, &with(&["--pgSslMode", mode])).await;
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        for host in ["localhost", "127.0.0.1"] {
            works(&postgres, &[&with(&["--pgSslMode", mode])[..], &["--pgHost", host, "--pgSslRootCert", &trusted]].concat()).await;
        }
        fails(&postgres, &[&with(&["--pgSslMode", mode])[..], &["--pgSslRootCert", &untrusted]].concat(), "certificate").await;
    }
    fails(&postgres, &with(&["--pgSslMode", "disable"]), "no encryption").await;
    fails(&postgres, &with(&["--pgSslMode", "verify-full"]), "certificate").await;
    fails(
        &postgres,
        &[&with(&["--pgSslMode", "verify-full", "--pgHost", "127.0.0.2"])[..], &["--pgSslRootCert", &trusted]].concat(),
        "certificate",
    )
    .await;
    works(&postgres, &[&with(&["--pgSslMode", "verify-ca", "--pgHost", "127.0.0.2"])[..], &["--pgSslRootCert", &trusted]].concat()).await;
}

struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self { issuer: rcgen::Issuer::new(parameters, key), pem }
    }

    fn sign(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// Writes a file that belongs to whom the folder belongs to, readable by nobody else, as Postgres wants its key.
fn write(folder: &Path, name: &str, text: &str) -> String {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let file = folder.join(name);
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let owner = fs::metadata(folder).unwrap();
    chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
    file.display().to_string()
}
