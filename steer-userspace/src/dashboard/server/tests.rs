use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::dashboard::{Agents, events::Events};

/// What is answered to these lines of a request.
async fn ask(lines: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let board = Board::new(
        Agents::Remote(Vec::new()),
        Duration::from_secs(30),
        Events::default(),
    );
    let server = tokio::spawn(serve(listener, address, board));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text = format!("{lines}\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    server.abort();
    answer
}

#[tokio::test]
async fn the_page_and_its_files_are_there() {
    for path in ["/", "/style.css", "/icon.svg", "/main.js", "/live.json"] {
        let answer = ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost:15090")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer:.80}");
        for (name, value) in HEADERS {
            assert!(answer.contains(&format!("{name}: {value}")), "{name}");
        }
    }
    let answer = ask("GET /else HTTP/1.1\r\nHost: 127.0.0.1").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[tokio::test]
async fn nothing_but_get() {
    let answer = ask("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0").await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[tokio::test]
async fn a_name_that_leads_here_is_not_served() {
    for (host, wanted) in [
        ("evil.example", "421"),
        ("evil.example:15090", "421"),
        ("127.0.0.1:15090", "200"),
        ("[::1]:15090", "200"),
    ] {
        let answer = ask(&format!("GET / HTTP/1.1\r\nHost: {host}")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {wanted} ")), "{host}");
    }
}

#[test]
fn the_page_asks_nobody_else() {
    for path in [
        "/",
        "/style.css",
        "/main.js",
        "/lane.js",
        "/details.js",
        "/table.js",
    ] {
        let text = page::file(path).unwrap().text;
        for word in [
            "https:",
            "url(",
            "innerHTML",
            "insertAdjacentHTML",
            "document.write",
            "style=\"",
        ] {
            assert!(!text.contains(word), "{path} has {word}");
        }
    }
}
