//! Ethernet frames, as QEMU's socket takes them: each behind its length.

use std::io;

use bytes::Bytes;
use smoltcp::wire::{EthernetAddress, EthernetFrame};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Length of the length: a big-endian number.
const HEAD: usize = 4;
/// The longest frame that QEMU sends or takes (its `NET_BUFSIZE`).
const LONGEST: usize = 4096 + 65536;

/// A frame. Copies share its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(Bytes);

impl Frame {
    /// A frame of these bytes, if they are none too many.
    pub fn new(ethernet: &[u8]) -> Option<Frame> {
        let length = u32::try_from(ethernet.len()).ok()?;
        (ethernet.len() <= LONGEST).then(|| {
            let mut bytes = Vec::with_capacity(HEAD + ethernet.len());
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(ethernet);
            Frame(bytes.into())
        })
    }

    /// Reads the next one. None if there are no more.
    pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
        let head = match from.read_u32().await {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        let length = head as usize;
        if length > LONGEST {
            let what = format!("a frame of {length} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let mut bytes = vec![0; HEAD + length];
        let (start, rest) = bytes.split_at_mut(HEAD);
        start.copy_from_slice(&head.to_be_bytes());
        from.read_exact(rest).await?;
        Ok(Some(Frame(bytes.into())))
    }

    /// What QEMU's socket takes.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The frame itself.
    pub fn ethernet(&self) -> &[u8] {
        self.0.get(HEAD..).unwrap_or_default()
    }

    /// Where it goes and where it comes from, unless it is too short to say so.
    pub fn addresses(&self) -> Option<(EthernetAddress, EthernetAddress)> {
        let frame = EthernetFrame::new_checked(self.ethernet()).ok()?;
        Some((frame.dst_addr(), frame.src_addr()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_read_as_they_were_written() {
        let frames = [vec![7; 14], Vec::new(), vec![9; LONGEST]].map(|data| {
            let frame = Frame::new(&data).unwrap();
            assert_eq!(frame.ethernet(), data);
            frame
        });
        let wire: Vec<u8> = frames.iter().flat_map(Frame::wire).copied().collect();
        let mut rest = &wire[..];
        for frame in frames {
            assert_eq!(Frame::read(&mut rest).await.unwrap(), Some(frame));
        }
        assert_eq!(Frame::read(&mut rest).await.unwrap(), None);
        let mut cut = &wire[..10];
        assert!(Frame::read(&mut cut).await.is_err());
    }

    #[tokio::test]
    async fn what_qemu_never_sends_is_no_frame() {
        assert_eq!(Frame::new(&vec![0; LONGEST + 1]), None);
        let mut wire = &[0xff, 0xff, 0xff, 0xff, 0, 0][..];
        let error = Frame::read(&mut wire).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(Frame::new(&[0; 13]).unwrap().addresses(), None);
    }
}
