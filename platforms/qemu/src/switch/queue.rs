//! Frames on their way to a machine.

use std::collections::BTreeMap;
use std::time::Duration;

use super::frame::Frame;

/// How many frames wait for a machine at most; like those of any switch, more are lost. A guest that does not read holds up
/// nobody else.
const MOST: usize = 4096;

/// Where a frame comes from: a machine, or the switch itself.
pub type Source = Option<u32>;

/// Frames for one machine, by when they are due. Those of one source keep their order, whatever becomes of its delay.
#[derive(Debug, Default)]
pub struct Queue {
    /// By when they are due; equals in the order in which they came.
    frames: BTreeMap<(Duration, u64), (Source, Frame)>,
    /// When the last frame of each source is due.
    last: BTreeMap<Source, Duration>,
    pushed: u64,
}

impl Queue {
    /// Adds a frame, if there is room.
    pub fn push(&mut self, source: Source, frame: Frame, due: Duration) {
        if self.frames.len() >= MOST {
            return;
        }
        let last = self.last.entry(source).or_default();
        *last = due.max(*last);
        self.frames.insert((*last, self.pushed), (source, frame));
        self.pushed += 1;
    }

    /// Takes the next frame that is due.
    pub fn pop(&mut self, now: Duration) -> Option<(Source, Frame)> {
        self.due().filter(|due| *due <= now)?;
        self.frames.pop_first().map(|(_, frame)| frame)
    }

    /// When the next frame is due.
    pub fn due(&self) -> Option<Duration> {
        self.frames.first_key_value().map(|((due, _), _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(byte: u8) -> Frame {
        Frame::new(&[byte]).unwrap()
    }

    #[test]
    fn one_source_keeps_its_order_and_does_not_hold_up_another() {
        let at = Duration::from_millis;
        let mut queue = Queue::default();
        queue.push(Some(1), frame(1), at(100));
        queue.push(Some(1), frame(2), at(10));
        queue.push(Some(2), frame(3), at(20));
        assert_eq!(queue.due(), Some(at(20)));
        assert_eq!(queue.pop(at(19)), None);
        assert_eq!(queue.pop(at(50)), Some((Some(2), frame(3))));
        assert_eq!(queue.pop(at(50)), None);
        assert_eq!(queue.pop(at(100)), Some((Some(1), frame(1))));
        assert_eq!(queue.pop(at(100)), Some((Some(1), frame(2))));
        assert_eq!(queue.due(), None);
    }

    #[test]
    fn who_does_not_read_loses_frames() {
        let mut queue = Queue::default();
        for _ in 0..=MOST {
            queue.push(None, frame(0), Duration::ZERO);
        }
        let mut count = 0;
        while queue.pop(Duration::ZERO).is_some() {
            count += 1;
        }
        assert_eq!(count, MOST);
    }
}
