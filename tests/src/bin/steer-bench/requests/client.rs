//! A client that writes requests byte by byte as it likes, and looks at every byte of the answers.

use std::{
    fmt::Write as _,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::{Sum, pattern, weights::Shares};

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_mins(1);

/// What came of requests.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) answered: u64,
    /// By the wrong version.
    pub(crate) misrouted: u64,
    /// Not answered, or not with 200.
    pub(crate) lost: u64,
    /// The answer to another request.
    pub(crate) reordered: u64,
    /// Another body, one way or the other.
    pub(crate) corrupted: u64,
    /// The first that was wrong.
    pub(crate) first: Option<String>,
    /// Who answered, of a rule with weights.
    pub(crate) shares: Shares,
}

/// What decides which version answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Header,
    Weights,
}

/// Sends `count` requests over connections of `clients` threads.
pub(crate) fn run(target: SocketAddr, by: By, count: u64, clients: u64) -> Result<Found> {
    let each = count / clients.max(1);
    let threads: Vec<_> = (0..clients)
        .map(|index| thread::spawn(move || Client::new(target, by, index).run(each)))
        .collect();
    let mut found = Found::default();
    for (index, thread) in threads.into_iter().enumerate() {
        let own = thread.join().ok().context("a client panicked")?;
        if index == 0 {
            found = own;
            continue;
        }
        found.shares.join(&own.shares);
        found.answered += own.answered;
        found.misrouted += own.misrouted;
        found.lost += own.lost;
        found.reordered += own.reordered;
        found.corrupted += own.corrupted;
        found.first = found.first.or(own.first);
    }
    Ok(found)
}

/// Asks for more than anybody keeps, on so many connections, and reads none of it.
pub(crate) fn silent(target: SocketAddr, connections: u64) -> Result<Vec<TcpStream>> {
    let ask = |_| {
        let mut stream = TcpStream::connect(target)?;
        let request = "GET / HTTP/1.1\r\nHost: web1\r\nx-istio-cohort: internal\r\nx-id: 1\r\nx-want: 1000000000\r\n\r\n";
        stream.write_all(request.as_bytes())?;
        Ok(stream)
    };
    (0..connections).map(ask).collect()
}

/// Numbers that look random and are the same each time (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % sides
    }

    /// Mostly nothing or little, seldom much.
    fn length(&mut self, alone: bool) -> u64 {
        match self.roll(1000) {
            0..=1 if alone => self.roll(2_000_000),
            0..=99 => self.roll(20_000),
            100..=399 => self.roll(300),
            _ => 0,
        }
    }
}

/// What one request is to bring.
struct Asked {
    id: u64,
    version: &'static str,
    sum: u64,
    want: u64,
}

struct Client {
    target: SocketAddr,
    by: By,
    dice: Dice,
    next: u64,
    found: Found,
}

impl Client {
    fn new(target: SocketAddr, by: By, index: u64) -> Self {
        Self {
            target,
            by,
            dice: Dice(index),
            next: index << 32,
            found: Found::default(),
        }
    }

    fn run(mut self, count: u64) -> Found {
        let mut left = count;
        while left > 0 {
            let most = left.min(1 + self.dice.roll(400));
            // Of a connection that breaks, what was not answered is lost.
            let before = self.found.answered + self.found.lost;
            if let Err(error) = self.connection(most) {
                self.wrong(|found| found.lost += 1, &format!("{error:#}"));
            }
            left = left.saturating_sub((self.found.answered + self.found.lost - before).max(1));
        }
        self.found
    }

    fn connection(&mut self, most: u64) -> Result<()> {
        let mut stream = TcpStream::connect(self.target)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_write_timeout(Some(ANSWER_MAX))?;
        let mut answers = BufReader::new(stream.try_clone()?);
        let mut left = most;
        while left > 0 {
            let batch = left.min(1 + self.dice.roll(8));
            let mut bytes = Vec::new();
            let asked: Vec<Asked> = (0..batch)
                .map(|_| self.ask(batch == 1, &mut bytes))
                .collect();
            self.write(&mut stream, &bytes)?;
            for asked in &asked {
                self.read(&mut answers, asked)?;
            }
            left -= batch;
        }
        Ok(())
    }

    /// A request, added to `bytes`.
    fn ask(&mut self, alone: bool, bytes: &mut Vec<u8>) -> Asked {
        let dice = &mut self.dice;
        let id = self.next;
        self.next += 1;
        let (body, want) = (dice.length(alone), dice.length(alone));
        // What looks like it must not be taken for it.
        let (cohort, version) = match dice.roll(8) {
            0 => ("X-Istio-Cohort: internal\r\n", "v2"),
            1..=3 => ("x-istio-cohort: internal\r\n", "v2"),
            4 => ("x-istio-cohort: Internal\r\n", "v1"),
            5 => ("x-istio-cohorts: internal\r\n", "v1"),
            _ => ("", "v1"),
        };
        let mut head = format!(
            "{} /items/{id}?a=b HTTP/1.1\r\n",
            if body > 0 { "POST" } else { "GET" }
        );
        let mut lines = vec![
            "Host: web1\r\n".to_owned(),
            cohort.to_owned(),
            format!("x-id: {id}\r\n"),
            format!("x-want: {want}\r\n"),
        ];
        for number in 0..dice.roll(6) {
            let value = "v".repeat(usize::try_from(dice.roll(200)).unwrap_or(1));
            lines.push(format!("x-{number}-{}: {value}\r\n", dice.roll(1000)));
        }
        let chunked = body > 0 && dice.roll(2) == 0;
        if chunked {
            lines.push("Transfer-Encoding: chunked\r\n".to_owned());
        } else if body > 0 {
            lines.push(format!("Content-Length: {body}\r\n"));
        }
        let turn = usize::try_from(dice.roll(lines.len() as u64)).unwrap_or_default();
        lines.rotate_left(turn);
        head.extend(lines);
        head.push_str("\r\n");
        bytes.extend(head.into_bytes());
        let content: Vec<u8> = (0..body).map(|at| pattern(id, at)).collect();
        let mut sum = Sum::new();
        sum.add(&content);
        if chunked {
            let length = usize::try_from(1 + dice.roll(9_000)).unwrap_or(1);
            for chunk in content.chunks(length) {
                let mut size = String::new();
                let _never_fails = write!(size, "{:x}\r\n", chunk.len());
                bytes.extend(size.into_bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(content);
        }
        Asked {
            id,
            version,
            sum: sum.0,
            want,
        }
    }

    /// In pieces, now and then slowly.
    fn write(&mut self, stream: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let whole = self.dice.roll(3) == 0;
            let most = if whole {
                u64::MAX
            } else {
                1 + self.dice.roll(4_000)
            };
            let (piece, rest) =
                bytes.split_at(usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len()));
            stream.write_all(piece)?;
            bytes = rest;
            if self.dice.roll(200) == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }

    fn read(&mut self, answers: &mut BufReader<TcpStream>, asked: &Asked) -> Result<()> {
        let answer = Answer::read(answers)?;
        if answer.status != 200 {
            self.wrong(
                |found| found.lost += 1,
                &format!("{}: {}", asked.id, answer.status),
            );
            return Ok(());
        }
        self.found.answered += 1;
        let Asked {
            id,
            version,
            sum,
            want,
        } = asked;
        if answer.id != *id {
            let text = format!("{id} was answered with {}", answer.id);
            self.wrong(|found| found.reordered += 1, &text);
        }
        if self.by == By::Weights {
            self.found.shares.add(answer.version == "v2");
        } else if answer.version != *version {
            let text = format!("{id} went to {}, not {version}", answer.version);
            self.wrong(|found| found.misrouted += 1, &text);
        }
        let same = answer.body.len() as u64 == *want
            && (0..)
                .zip(&answer.body)
                .all(|(at, byte)| *byte == pattern(*id, at));
        if !same || answer.sum != *sum {
            self.wrong(
                |found| found.corrupted += 1,
                &format!("{id} has another body"),
            );
        }
        Ok(())
    }

    fn wrong(&mut self, count: impl FnOnce(&mut Found), text: &str) {
        count(&mut self.found);
        self.found.first.get_or_insert_with(|| text.to_owned());
    }
}

#[derive(Default)]
struct Answer {
    status: u16,
    version: String,
    id: u64,
    sum: u64,
    body: Vec<u8>,
}

impl Answer {
    fn read(from: &mut BufReader<TcpStream>) -> Result<Self> {
        let mut this = Self::default();
        let status = line(from)?;
        let word = status.split(' ').nth(1).context("a line with a status")?;
        this.status = word.parse()?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = line(from)?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "x-version" => value.clone_into(&mut this.version),
                "x-id" => this.id = value.parse()?,
                "x-sum" => this.sum = value.parse()?,
                "content-length" => length = value.parse()?,
                "transfer-encoding" => chunked = true,
                _ => {}
            }
        }
        if !chunked {
            this.take(from, length)?;
            return Ok(this);
        }
        loop {
            let size = u64::from_str_radix(&line(from)?, 16)?;
            this.take(from, size)?;
            ensure!(line(from)?.is_empty(), "a chunk ends with its line");
            if size == 0 {
                return Ok(this);
            }
        }
    }

    fn take(&mut self, from: &mut BufReader<TcpStream>, length: u64) -> Result<()> {
        let taken = from.take(length).read_to_end(&mut self.body)?;
        ensure!(taken as u64 == length, "a body is cut short");
        Ok(())
    }
}

fn line(from: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        bail!("the connection ended");
    }
    Ok(line.trim_end().to_owned())
}
