//! The way to the server: TLS with a certificate authority of one's own, connections that break, peers that are no ClickHouse.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use camino_tempfile::Utf8TempDir;
use housewright::clickhouse::{Client, Error, Query};
use housewright::config::Server;
use support::{database, engine, execute, table};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

fn upstream() -> SocketAddr {
    engine()
        .url
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .parse()
        .unwrap()
}

/// The engine's server under another URL.
fn at(url: String) -> Server {
    Server {
        url,
        ..engine().clone()
    }
}

/// A TLS front for the engine, and the file of the authority that vouches for it.
async fn tls() -> (u16, Utf8TempDir) {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(params, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(
        vec![certificate.der().clone()],
        rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    )
    .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut engine = TcpStream::connect(upstream()).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut engine).await;
            });
        }
    });
    let dir = support::directory();
    fs_err::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
    (port, dir)
}

#[tokio::test]
async fn a_certificate_authority_of_ones_own_is_trusted_and_no_other() {
    let (port, dir) = tls().await;
    let server = at(format!("https://localhost:{port}/"));
    let with = |ca_file| Server {
        ca_file,
        ..server.clone()
    };
    let client = Client::new(&with(Some(dir.path().join("ca.pem"))), "default").unwrap();
    assert_eq!(table(&client, "SELECT 1 AS one").await, "1");
    let (_, other) = tls().await;
    let stranger = Client::new(&with(Some(other.path().join("ca.pem"))), "default").unwrap();
    let error = stranger
        .row::<serde_json::Value>(&Query::new("SELECT 1"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(
        housewright::report::causes(&error).contains("certificate"),
        "{}",
        housewright::report::causes(&error)
    );
    for (content, said) in [
        ("nothing", "holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\nAA\n", "could not be read"),
    ] {
        fs_err::write(dir.path().join("bad.pem"), content).unwrap();
        let error = Client::new(&with(Some(dir.path().join("bad.pem"))), "default").unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    let error = Client::new(&with(Some(dir.path().join("missing.pem"))), "default").unwrap_err();
    assert!(error.to_string().contains("missing.pem"), "{error}");
}

/// A front that breaks the first connections after their request was read, and then passes everything on.
async fn breaking(times: usize) -> (Server, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if count.fetch_add(1, Ordering::SeqCst) < times {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                continue;
            }
            tokio::spawn(async move {
                let mut engine = TcpStream::connect(upstream()).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut engine).await;
            });
        }
    });
    (at(format!("http://{address}/")), seen)
}

#[tokio::test]
async fn a_read_is_asked_again_after_a_broken_connection_and_a_statement_is_not() {
    let (server, seen) = breaking(2).await;
    let client = Client::new(&server, "default").unwrap();
    assert_eq!(table(&client, "SELECT 1 AS one").await, "1");
    assert_eq!(seen.load(Ordering::SeqCst), 3);

    let direct = database("c_once").await;
    execute(
        &direct,
        "CREATE TABLE t (i UInt8) ENGINE = MergeTree ORDER BY i",
    )
    .await;
    let (server, seen) = breaking(1).await;
    let client = Client::new(&server, "c_once").unwrap();
    let error = client
        .execute(&Query::new("INSERT INTO t SELECT 1"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error:?}");
    assert!(error.outcome_is_unknown());
    assert_eq!(seen.load(Ordering::SeqCst), 1, "it was sent once");
}

#[tokio::test]
async fn a_statement_waits_for_a_server_that_is_just_starting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        let listener = TcpListener::bind(address).await.unwrap();
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut engine = TcpStream::connect(upstream()).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut engine).await;
            });
        }
    });
    // Nothing was sent when nobody listened, so sending it again is safe.
    let client = Client::new(&at(format!("http://{address}/")), "default").unwrap();
    execute(&client, "SET max_threads = 1").await;
}

#[tokio::test]
async fn what_is_no_clickhouse_is_said_to_be_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 12\r\nConnection: close\r\n\r\nBad Gateway!").await;
        }
    });
    let client = Client::new(&at(format!("http://{address}/")), "default").unwrap();
    let error = client.execute(&Query::new("SELECT 1")).await.unwrap_err();
    assert!(matches!(error, Error::NotClickHouse { .. }), "{error:?}");
    assert!(error.to_string().contains("Bad Gateway!"), "{error}");
    assert!(
        error.outcome_is_unknown(),
        "a gateway may have passed it on"
    );
}
