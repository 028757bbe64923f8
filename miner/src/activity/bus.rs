//! One question to the system's message bus: a boolean property, over its socket, in the wire form of the D-Bus
//! specification. A library for the whole of D-Bus would weigh more than the rest of the miner's wire.
//!
//! Each read and write has a timeout, each message a bound, and only a bounded number of others' messages are passed over.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the bus may take for anything.
const TIMEOUT: Duration = Duration::from_millis(500);
/// Bytes of a line of the log-in.
const LINE_BYTES_MAX: u64 = 1024;
/// Bytes of a message; those that are asked for have about a hundred.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Messages that nobody asked for, before the one that was.
const OTHERS_MAX: usize = 16;

const CALL: u8 = 1;
const REPLY: u8 = 2;
const ERROR: u8 = 3;
/// The bus must not start a service that does not run, just to answer.
const NO_AUTO_START: u8 = 2;

const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// A property of an object of a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Property {
    pub(super) service: &'static str,
    pub(super) path: &'static str,
    pub(super) interface: &'static str,
    pub(super) name: &'static str,
}

/// A connection to the bus.
#[derive(Debug)]
pub(super) struct Bus {
    stream: BufReader<UnixStream>,
    serial: u32,
}

impl Bus {
    /// Connects to the bus at `socket` and logs in as the user that the socket's other end sees.
    pub(super) fn connect(socket: &Path) -> io::Result<Bus> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let mut bus = Bus { stream: BufReader::new(stream), serial: 0 };
        bus.log_in()?;
        let bus_itself = ("org.freedesktop.DBus", "/org/freedesktop/DBus");
        bus.call([bus_itself.0, bus_itself.1, "org.freedesktop.DBus", "Hello"], &[])?;
        Ok(bus)
    }

    fn log_in(&mut self) -> io::Result<()> {
        self.write(b"\0AUTH EXTERNAL\r\n")?;
        if !self.line()?.starts_with("DATA") {
            return Err(broken("the bus does not ask who we are"));
        }
        // No name: the bus takes the one that the socket tells.
        self.write(b"DATA\r\n")?;
        if !self.line()?.starts_with("OK ") {
            return Err(broken("the bus does not let us in"));
        }
        self.write(b"BEGIN\r\n")
    }

    /// Asks for a boolean property.
    pub(super) fn boolean(&mut self, of: Property) -> io::Result<bool> {
        let header = [of.service, of.path, "org.freedesktop.DBus.Properties", "Get"];
        let body = self.call(header, &[of.interface, of.name])?;
        // A variant: its signature, then at the next multiple of four the boolean as 32 bits.
        match body.get(..8) {
            Some([1, b'b', 0, 0, value @ ..]) => match u32::from_le_bytes([value[0], value[1], value[2], value[3]]) {
                0 => Ok(false),
                1 => Ok(true),
                _ => Err(broken("a boolean is neither true nor false")),
            },
            _ => Err(broken("the property is no boolean")),
        }
    }

    /// Calls a method with texts and answers with the reply's body.
    fn call(&mut self, [service, path, interface, member]: [&str; 4], texts: &[&str]) -> io::Result<Vec<u8>> {
        self.serial += 1;
        let mut body = Vec::new();
        for text in texts {
            put_text(&mut body, text);
        }
        let mut fields = Vec::new();
        for (code, kind, text) in
            [(PATH, b'o', path), (INTERFACE, b's', interface), (MEMBER, b's', member), (DESTINATION, b's', service)]
        {
            pad(&mut fields, 8);
            fields.extend_from_slice(&[code, 1, kind, 0]);
            put_text(&mut fields, text);
        }
        if !texts.is_empty() {
            pad(&mut fields, 8);
            fields.extend_from_slice(&[SIGNATURE, 1, b'g', 0]);
            fields.push(u8::try_from(texts.len()).expect("a call has a few texts"));
            fields.extend(texts.iter().map(|_| b's'));
            fields.push(0);
        }
        let mut message = vec![b'l', CALL, NO_AUTO_START, 1];
        message.extend_from_slice(&length(&body).to_le_bytes());
        message.extend_from_slice(&self.serial.to_le_bytes());
        message.extend_from_slice(&length(&fields).to_le_bytes());
        message.extend_from_slice(&fields);
        pad(&mut message, 8);
        message.extend_from_slice(&body);
        self.write(&message)?;
        self.answer()
    }

    /// The answer to the last call.
    fn answer(&mut self) -> io::Result<Vec<u8>> {
        for _ in 0..=OTHERS_MAX {
            let (kind, serial, body) = self.message()?;
            match kind {
                REPLY if serial == Some(self.serial) => return Ok(body),
                ERROR if serial == Some(self.serial) => return Err(io::Error::other("the bus refuses the question")),
                _ => {}
            }
        }
        Err(broken("the bus talks of other things"))
    }

    /// A message's kind, the call that it answers, and its body.
    fn message(&mut self) -> io::Result<(u8, Option<u32>, Vec<u8>)> {
        let mut fixed = [0; 16];
        self.stream.read_exact(&mut fixed)?;
        if fixed[0] != b'l' || fixed[3] != 1 {
            return Err(broken("a message of another form"));
        }
        let word = |at: usize| {
            let word = u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
            usize::try_from(word).ok().filter(|bytes| *bytes <= MESSAGE_BYTES_MAX).ok_or(broken("a message too long"))
        };
        let (body_bytes, field_bytes) = (word(4)?, word(12)?);
        let mut fields = vec![0; field_bytes.next_multiple_of(8)];
        self.stream.read_exact(&mut fields)?;
        let mut body = vec![0; body_bytes];
        self.stream.read_exact(&mut body)?;
        let serial = reply_serial(&fields[..field_bytes]).ok_or(broken("a message whose head makes no sense"))?;
        Ok((fixed[1], serial, body))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut self.stream).take(LINE_BYTES_MAX).read_line(&mut line)?;
        Ok(line)
    }
}

/// Which call a message answers, from its header's fields; `None` where they make no sense.
#[expect(clippy::option_option, reason = "no sense, no such field, and the field are three things")]
fn reply_serial(fields: &[u8]) -> Option<Option<u32>> {
    let mut found = None;
    let mut at: usize = 0;
    while at < fields.len() {
        let [code, 1, kind, 0] = *fields.get(at..at + 4)? else { return None };
        let value = at + 4;
        let word = || fields.get(value..value + 4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        let end = match kind {
            b'u' => {
                found = if code == REPLY_SERIAL { Some(word()?) } else { found };
                value + 4
            }
            b's' | b'o' => value.checked_add(usize::try_from(word()?).ok()?)?.checked_add(5)?,
            b'g' => value + usize::from(*fields.get(value)?) + 2,
            _ => return None,
        };
        at = if end < fields.len() { end.next_multiple_of(8) } else { end };
    }
    Some(found)
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    pad(to, 4);
    to.extend_from_slice(&length(text.as_bytes()).to_le_bytes());
    to.extend_from_slice(text.as_bytes());
    to.push(0);
}

fn pad(to: &mut Vec<u8>, multiple: usize) {
    to.resize(to.len().next_multiple_of(multiple), 0);
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("our own messages are short")
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
