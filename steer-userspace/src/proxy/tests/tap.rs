use super::{
    super::Mirrored,
    ground::{Ground, nobody},
    mirror::{listener, mirrored, until},
};

const HEAD: &str = "GET /items HTTP/1.1\r\nHost: catalog.shop:80\r\n\r\n";
const POST: &str = "POST /cart HTTP/1.1\r\nHost: catalog\r\nContent-Length: 5\r\n\r\nbooks";

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

#[tokio::test]
async fn requests_are_copied_however_they_are_cut() {
    let (v2, heard) = listener().await;
    let ground = Ground::tapped(mirrored(100.0), &[("v1", &[nobody()]), ("v2", &[v2])]);
    let both = [HEAD, POST].concat().into_bytes();
    // Two connections, one in small pieces and each of them twice.
    ground.sends(7, 100, &both);
    let mut seq = u32::MAX - 10;
    for piece in both.chunks(9) {
        ground.sends(8, seq, piece);
        ground.sends(8, seq, piece);
        seq = seq.wrapping_add(length(piece));
    }
    until(|| heard.lock().unwrap().len() == 4).await;
    let mut heard = heard.lock().unwrap().clone();
    heard.sort();
    let get = "GET catalog.shop-shadow:80 /items 0";
    let post = "POST catalog-shadow /cart 5";
    assert_eq!(heard, [get, get, post, post]);
    until(|| ground.mirrored().answered == 4).await;
}

#[tokio::test]
async fn the_share_is_exact() {
    let (v2, heard) = listener().await;
    let ground = Ground::tapped(mirrored(12.5), &[("v1", &[nobody()]), ("v2", &[v2])]);
    for socket in 0..160 {
        ground.sends(socket, 0, HEAD.as_bytes());
    }
    until(|| heard.lock().unwrap().len() == 20).await;
    until(|| ground.mirrored().answered == 20).await;
}

/// Connections are followed for a while, and there may be any number of them after one another.
#[tokio::test]
async fn of_many_connections_all_are_copied() {
    let (v2, heard) = listener().await;
    let ground = Ground::tapped(mirrored(10.0), &[("v1", &[nobody()]), ("v2", &[v2])]);
    for socket in 0..5_000 {
        ground.sends(socket, 0, HEAD.as_bytes());
    }
    // The first one was forgotten meanwhile; it goes on.
    for request in 1..=10 {
        ground.sends(0, request * length(HEAD.as_bytes()), HEAD.as_bytes());
    }
    until(|| ground.mirrored().answered == 501).await;
    assert_eq!(heard.lock().unwrap().len(), 501);
    let Mirrored { busy, cut, .. } = ground.mirrored();
    assert_eq!((busy, cut), (0, 0));
}

#[tokio::test]
async fn what_is_not_copied_is_counted() {
    let (v2, heard) = listener().await;
    let ground = Ground::tapped(mirrored(100.0), &[("v1", &[nobody()]), ("v2", &[v2])]);
    // TLS; HTTP/2; a switch to another protocol.
    ground.sends(1, 0, &[0x16, 0x03, 0x01, 0x00, 0x05]);
    ground.sends(2, 0, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let upgrade =
        "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    ground.sends(3, 0, upgrade.as_bytes());
    until(|| ground.mirrored().other_protocol == 3).await;
    // A body of which a piece is missing, and the request after it.
    let cut = &POST.as_bytes()[..POST.len() - 3];
    ground.sends(4, 0, cut);
    ground.sends(4, 1_000, HEAD.as_bytes());
    until(|| ground.mirrored().cut == 1).await;
    // A body that is too long, and another connection.
    let long = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
    ground.sends(5, 0, long.as_bytes());
    let mut seq = length(long.as_bytes());
    for piece in vec![b'x'; 100_000].chunks(4_096) {
        ground.sends(5, seq, piece);
        seq += length(piece);
    }
    until(|| ground.mirrored().too_long == 1).await;
    until(|| *heard.lock().unwrap() == ["GET catalog.shop-shadow:80 /items 0"]).await;
}
