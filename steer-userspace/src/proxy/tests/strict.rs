use serde_json::json;

use super::ground::{Ground, named};

/// A request that two readers could understand in two ways is answered 400 and the connection closed; no
/// endpoint sees it, or what follows.
#[tokio::test]
async fn what_is_not_clear_is_refused() {
    let v1 = named("v1").await;
    let rules = json!([{"route": [{"destination": {"host": "catalog", "subset": "v1"}}]}]);
    let ground = Ground::new(rules, &[("v1", &[v1])]).await;
    let next = "GET /smuggled HTTP/1.1\r\nHost: c\r\n\r\n";
    for text in [
        "POST / HTTP/1.1\r\nHost: c\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: c\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: c\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        "POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\nHost: c\n\n",
        "GET / HTTP/1.1\r\nHost: c\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: c\r\nHost: d\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GARBAGE\r\n\r\n",
    ] {
        let mut client = ground.connect().await;
        assert_eq!(client.ask(next).await.status, 200);
        client.send(&format!("{text}{next}")).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 400, "{text:?} {answer:?}");
        if !text.contains("\r\nHost: d") && text != "GET / HTTP/1.1\r\n\r\n" {
            assert!(client.is_closed().await, "{text:?}");
        }
    }
}
