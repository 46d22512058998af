//! `pgdeltastream tail`, driven from outside against a service that does what the test says.

use std::error::Error;
use std::process::{Output, Stdio};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_async};

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

const FIRST: &str = r#"{"nextlsn":"0/1A","change":[{"kind":"insert"}]}"#;
const PART: &str = r#"{"change":[{"kind":"update"}]}"#;
const SECOND: &str = r#"{"nextlsn":"0/2B","change":[]}"#;

/// A service for one client.
struct Service(TcpListener);

impl Service {
    async fn new() -> Result<Self, std::io::Error> {
        TcpListener::bind("127.0.0.1:0").await.map(Self)
    }

    /// `tail` of this service's stream.
    fn tail(&self, arguments: &[&str]) -> Result<Command, std::io::Error> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgdeltastream"));
        command.args(["tail", "delta_face56", "--serverHost", "127.0.0.1", "--serverPort", &self.0.local_addr()?.port().to_string()]);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Ok(command)
    }

    /// A client that has asked for the stream and sees these messages.
    async fn send(&self, messages: &[&str]) -> Result<WebSocketStream<TcpStream>, Box<dyn Error>> {
        let (connection, _) = timeout(PATIENCE, self.0.accept()).await??;
        let mut socket = accept_async(connection).await?;
        for &message in messages {
            socket.send(Message::text(message)).await?;
        }
        Ok(socket)
    }

    /// Reads the request's head and answers it.
    async fn answer(&self, answer: &str) -> Result<String, Box<dyn Error>> {
        let (mut connection, _) = timeout(PATIENCE, self.0.accept()).await??;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(connection.read_u8().await?);
        }
        connection.write_all(answer.as_bytes()).await?;
        Ok(String::from_utf8(request)?)
    }
}

/// What the client sends from now on, without pongs, until it closes.
async fn received(socket: &mut WebSocketStream<TcpStream>) -> Result<Vec<Message>, Box<dyn Error>> {
    let mut messages = Vec::new();
    while let Some(message) = timeout(PATIENCE, socket.next()).await? {
        messages.push(message?);
    }
    Ok(messages)
}

fn lines(output: &Output) -> Vec<&str> {
    str::from_utf8(&output.stdout).unwrap_or("not UTF-8").lines().collect()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn closed(code: u16, reason: &str) -> Message {
    Message::Close(Some(CloseFrame { code: code.into(), reason: reason.to_owned().into() }))
}

#[tokio::test]
async fn asks_for_what_it_was_told() -> Result<(), Box<dyn Error>> {
    let service = Service::new().await?;
    let arguments =
        ["--format", "events", "--tables", "a,shop.\"Line Items\"", "--actions", "insert", "--noTakeover", "--excludeTables", "b"];
    let tail = service.tail(&arguments)?.spawn()?;
    let request = service.answer("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await?;
    let line = request.lines().next().unwrap_or_default();
    assert_eq!(
        line,
        "GET /v1/lr/stream?slotName=delta_face56&format=events&tables=a%2Cshop.%22Line%20Items%22&excludeTables=b&actions=insert&takeover=false HTTP/1.1"
    );
    timeout(PATIENCE, tail.wait_with_output()).await??;
    Ok(())
}

#[tokio::test]
async fn messages_are_printed_and_acknowledged_up_to_the_limit() {
    let service = Service::new().await.unwrap();
    let tail = service.tail(&["--ack", "--limit", "3"]).unwrap().spawn().unwrap();
    let mut socket = service.send(&[FIRST, PART, SECOND, FIRST]).await.unwrap();
    let received = received(&mut socket).await.unwrap();
    assert_eq!(received, [Message::text(r#"{"lsn":"0/1A"}"#), Message::text(r#"{"lsn":"0/2B"}"#), closed(1000, "")]);
    let output = tail.wait_with_output().await.unwrap();
    assert_eq!(lines(&output), [FIRST, PART, SECOND]);
    assert!(output.status.success(), "{}", errors(&output));
}

#[tokio::test]
async fn nothing_is_acknowledged_unasked() {
    let service = Service::new().await.unwrap();
    let tail = service.tail(&["--limit", "1"]).unwrap().spawn().unwrap();
    let mut socket = service.send(&[FIRST]).await.unwrap();
    assert_eq!(received(&mut socket).await.unwrap(), [closed(1000, "")]);
    assert_eq!(lines(&tail.wait_with_output().await.unwrap()), [FIRST]);
}

#[tokio::test]
async fn a_signal_ends_it_politely() {
    let service = Service::new().await.unwrap();
    let tail = service.tail(&["--ack"]).unwrap().spawn().unwrap();
    let mut socket = service.send(&[FIRST]).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(r#"{"lsn":"0/1A"}"#));
    let process = tail.id().unwrap().to_string();
    Command::new("sh").args(["-c", r#"kill -s INT "$1""#, "kill", &process]).status().await.unwrap();
    assert_eq!(received(&mut socket).await.unwrap(), [closed(1000, "")]);
    assert!(tail.wait_with_output().await.unwrap().status.success());
}

#[tokio::test]
async fn a_reader_that_leaves_ends_it_quietly() {
    let service = Service::new().await.unwrap();
    let mut tail = service.tail(&["--ack"]).unwrap().spawn().unwrap();
    drop(tail.stdout.take());
    let mut socket = service.send(&[FIRST]).await.unwrap();
    assert_eq!(received(&mut socket).await.unwrap(), [closed(1000, "")]);
    let output = tail.wait_with_output().await.unwrap();
    assert_eq!((output.status.code(), errors(&output).as_str()), (Some(0), ""));
}

#[tokio::test]
async fn what_the_service_says_at_the_end_is_shown() {
    for (code, reason, exit_code, said) in [
        (4410, "the slot was dropped", 1, "pgdeltastream: the service closed the stream with 4410: the slot was dropped\n"),
        (1001, "", 1, "pgdeltastream: the service closed the stream with 1001\n"),
        (1000, "done", 0, ""),
    ] {
        let service = Service::new().await.unwrap();
        let tail = service.tail(&[]).unwrap().spawn().unwrap();
        let mut socket = service.send(&[FIRST]).await.unwrap();
        socket.send(closed(code, reason)).await.unwrap();
        assert_eq!(received(&mut socket).await.unwrap(), [closed(code, "")], "the closing handshake is completed");
        let output = tail.wait_with_output().await.unwrap();
        assert_eq!((output.status.code(), errors(&output).as_str()), (Some(exit_code), said));
        assert_eq!(lines(&output), [FIRST]);
    }
}

#[tokio::test]
async fn a_refusal_is_shown() {
    let body = r#"{"error":"there is no stream delta_face56","code":"no_such_stream"}"#;
    let service = Service::new().await.unwrap();
    let tail = service.tail(&[]).unwrap().spawn().unwrap();
    let answer = format!("HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let request = service.answer(&answer).await.unwrap();
    assert!(request.starts_with("GET /v1/lr/stream?slotName=delta_face56 HTTP/1.1\r\n"), "{request}");
    let output = tail.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(errors(&output), "pgdeltastream: the service answers 404 Not Found: there is no stream delta_face56\n");
}

#[tokio::test]
async fn a_lost_connection_is_an_error() {
    let service = Service::new().await.unwrap();
    let tail = service.tail(&[]).unwrap().spawn().unwrap();
    drop(service.send(&[FIRST]).await.unwrap());
    let output = tail.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).starts_with("pgdeltastream: the connection was lost"), "{}", errors(&output));
}

#[tokio::test]
async fn an_absent_service_is_an_error() {
    let mut tail = Service::new().await.unwrap().tail(&[]).unwrap();
    let output = tail.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).starts_with("pgdeltastream: no answer from http://127.0.0.1:"), "{}", errors(&output));
}
