//! HTTP/1 as bytes, read without the help of the parser under test.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::within;

/// A connection to the balancer.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self(BufReader::new(within(TcpStream::connect(address)).await.unwrap()))
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        // The other end may have answered and closed before it has read all.
        let _ = within(self.0.get_mut().write_all(bytes)).await;
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to("GET").await
    }

    pub(crate) async fn answer_to(&mut self, method: &str) -> Answer {
        within(read_answer(&mut self.0, method)).await.expect("an answer")
    }

    /// The next answer, if another one comes before the other end closes.
    pub(crate) async fn next_answer(&mut self) -> Option<Answer> {
        within(read_answer(&mut self.0, "GET")).await
    }

    /// The head of the next answer, whatever it is.
    pub(crate) async fn head(&mut self) -> Answer {
        let head = within(read_head(&mut self.0)).await.expect("a head");
        Answer { head, ..Answer::default() }
    }

    /// Sends nothing more, and stays to read.
    pub(crate) async fn half_close(mut self) -> Option<Self> {
        within(self.0.get_mut().shutdown()).await.ok()?;
        Some(self)
    }

    /// The status of an answer before the answer.
    pub(crate) async fn interim(&mut self) -> u16 {
        let head = within(read_head(&mut self.0)).await.expect("an interim answer");
        Answer { head, ..Answer::default() }.status()
    }

    /// Reads until this text has come.
    pub(crate) async fn first_bytes_contain(&mut self, text: &str) -> bool {
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(text) {
            match within(self.0.read_u8()).await {
                Ok(byte) => seen.push(byte),
                Err(_) => return false,
            }
        }
        true
    }
}

/// A message as it came, head and body apart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// What followed the last chunk, line by line.
    pub(crate) trailers: String,
    /// Whether the body ended as its head had announced.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).into_iter().next()
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn vm(&self) -> &str {
        self.header("x-cumulet-vm").unwrap_or("?")
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.header("x-cumulet-attempts").unwrap().parse().unwrap()
    }
}

pub(crate) async fn read_head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

async fn read_answer(stream: &mut BufReader<TcpStream>, method: &str) -> Option<Answer> {
    loop {
        let head = read_head(stream).await?;
        let mut answer = Answer { head, ..Answer::default() };
        if answer.status() < 200 {
            continue;
        }
        let has_no_body = method == "HEAD" || matches!(answer.status(), 204 | 304);
        if has_no_body {
            answer.whole = true;
        } else {
            read_body(stream, &mut answer, true).await;
        }
        return Some(answer);
    }
}

pub(crate) async fn read_body(
    stream: &mut BufReader<TcpStream>,
    message: &mut Answer,
    to_end: bool,
) {
    if let Some(length) = message.header("content-length") {
        let length: usize = length.parse().unwrap();
        message.whole = read_exactly(stream, &mut message.body, length).await;
    } else if message.header("transfer-encoding").is_some() {
        message.whole = read_chunks(stream, message).await.is_some();
    } else if to_end {
        message.whole = stream.read_to_end(&mut message.body).await.is_ok();
    } else {
        message.whole = true;
    }
}

async fn read_exactly(
    stream: &mut BufReader<TcpStream>,
    into: &mut Vec<u8>,
    length: usize,
) -> bool {
    let mut limited = stream.take(length as u64);
    matches!(limited.read_to_end(into).await, Ok(read) if read == length)
}

async fn read_chunks(stream: &mut BufReader<TcpStream>, message: &mut Answer) -> Option<()> {
    loop {
        let line = read_line(stream).await?;
        let size = line.trim().split(';').next().unwrap_or_default();
        let length = usize::from_str_radix(size, 16).unwrap();
        if length == 0 {
            break;
        }
        if !read_exactly(stream, &mut message.body, length).await {
            return None;
        }
        stream.read_u16().await.ok()?;
    }
    loop {
        let line = read_line(stream).await?;
        if line == "\r\n" {
            return Some(());
        }
        message.trailers.push_str(&line);
    }
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(line).unwrap())
}
