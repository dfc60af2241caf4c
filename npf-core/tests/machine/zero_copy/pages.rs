//! The pages of the reference: a list of frames, and for each process which frame it sees where.
//!
//! Contract: plain data; frames are never freed. The first four are the kernel's, two per buffer.

use npf_core::ForkedPages;
use std::fmt;

pub const PAGE: usize = 4096;
/// Pages of both buffers.
const PAGES: usize = 4;

/// All frames and views.
#[derive(Clone)]
pub struct Pages {
    frames: Vec<Vec<u8>>,
    /// By process and page: the frame, and whether a write must be thought about.
    views: Vec<[(usize, bool); PAGES]>,
    /// `None`: shared.
    pub rule: Option<ForkedPages>,
}

impl fmt::Debug for Pages {
    /// Without the frames, which are long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pages {{ rule: {:?}, views: {:?} }}", self.rule, self.views)
    }
}

impl Pages {
    pub fn new(rule: Option<ForkedPages>) -> Self {
        let views = vec![[0, 1, 2, 3].map(|frame| (frame, false))];
        Pages { frames: vec![vec![0; PAGE]; PAGES], views, rule }
    }

    pub fn processes(&self) -> u32 {
        self.views.len() as u32
    }

    pub fn fork(&mut self, parent: u32) {
        let parent = parent as usize;
        let mut child = self.views[parent];
        for (page, (frame, marked)) in child.iter_mut().enumerate() {
            let wired = *frame < PAGES;
            match self.rule {
                None => {}
                Some(ForkedPages::CopiedAtFork) => *frame = self.copy(*frame),
                // Nobody else writes to what is no frame of the kernel's: a copy is as good as a mark.
                Some(_) if !wired => *frame = self.copy(*frame),
                Some(_) => {
                    self.views[parent][page].1 = true;
                    *marked = true;
                }
            }
        }
        self.views.push(child);
    }

    pub fn read(&self, process: u32, at: usize) -> u8 {
        self.frames[self.views[process as usize][at / PAGE].0][at % PAGE]
    }

    pub fn write(&mut self, process: u32, at: usize, byte: u8) {
        let (process, page) = (process as usize, at / PAGE);
        if self.views[process][page].1 {
            self.part(process, page);
        }
        let (frame, _) = self.views[process][page];
        self.frames[frame][at % PAGE] = byte;
    }

    pub fn kernel_read(&self, at: usize) -> u8 {
        self.frames[at / PAGE][at % PAGE]
    }

    pub fn kernel_write(&mut self, at: usize, bytes: &[u8]) {
        for (byte, at) in bytes.iter().zip(at..) {
            self.frames[at / PAGE][at % PAGE] = *byte;
        }
    }

    /// The first write of `process` since a fork.
    fn part(&mut self, process: usize, page: usize) {
        let lookers: Vec<usize> =
            (0..self.views.len()).filter(|other| self.views[*other][page].0 == page).collect();
        let leaving: Vec<usize> = match self.rule {
            Some(ForkedPages::WriterCopies) if lookers.len() == 1 => vec![],
            Some(ForkedPages::YoungerCopies) if lookers[0] == process => lookers[1..].to_vec(),
            _ => vec![process],
        };
        for other in leaving {
            self.views[other][page] = (self.copy(page), false);
        }
        self.views[process][page].1 = false;
    }

    fn copy(&mut self, frame: usize) -> usize {
        self.frames.push(self.frames[frame].clone());
        self.frames.len() - 1
    }
}
