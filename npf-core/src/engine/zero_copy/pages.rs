//! The pages of the two shared buffers, as the kernel and each process see them.
//!
//! The kernel holds the pages that the first process had when the buffers were set up, and writes to
//! these whatever processes do. A process looks, page by page, at the kernel's page or at a copy of
//! its own:
//!
//! ```text
//!   shared        looks at the kernel's page and writes to it
//!   marked        looks at the kernel's page; a first write is decided by the rule below
//!   own           a copy; what the kernel writes from now on is never seen, and the reverse
//! ```
//!
//! Contract: a fork copies the view of the parent. With INHERIT_SHARE pages stay shared; otherwise
//! [`ForkedPages`] says who gets the copy, and when. No rule makes a process look at another page
//! than before without a write or a fork.
//!
//! Not modelled: the end of a process, which never takes a mark away.

use crate::{ForkedPages, MAX_ZBUF_PAGES, ZBUF_PAGE};
use std::ops::Range;

/// Both buffers' pages.
#[derive(Debug)]
pub(super) struct Pages {
    kernel: [Vec<u8>; 2],
    /// By process: the views of the first buffer's pages, then of the second's.
    processes: Vec<Vec<View>>,
    /// Pages that processes have of their own.
    copies: u64,
    /// `None`: pages are shared by parent and child.
    rule: Option<ForkedPages>,
}

/// How a process sees one page.
#[derive(Debug, Clone, Default)]
struct View {
    /// `None`: it looks at the kernel's.
    own: Option<Box<[u8]>>,
    /// A write has to be decided first.
    marked: bool,
}

impl View {
    fn looks_at_kernel(&self) -> bool {
        self.own.is_none()
    }
}

impl Pages {
    /// Two buffers of `len` bytes each, a multiple of the page size, and the one process, number 0,
    /// that they belong to.
    pub(super) fn new(len: usize, rule: Option<ForkedPages>) -> Self {
        debug_assert!(len.is_multiple_of(ZBUF_PAGE) && len <= MAX_ZBUF_PAGES * ZBUF_PAGE);
        let views = vec![View::default(); 2 * len / ZBUF_PAGE];
        Pages { kernel: [vec![0; len], vec![0; len]], processes: vec![views], copies: 0, rule }
    }

    /// A buffer as the kernel sees it.
    #[inline]
    pub(super) fn kernel(&self, buffer: usize) -> &[u8] {
        &self.kernel[buffer]
    }

    /// The same, to write to.
    #[inline]
    pub(super) fn kernel_mut(&mut self, buffer: usize) -> &mut [u8] {
        &mut self.kernel[buffer]
    }

    /// How many processes there are; they are numbered from 0.
    pub(super) fn processes(&self) -> usize {
        self.processes.len()
    }

    /// Bytes of memory: pages and views.
    pub(super) fn memory(&self) -> u64 {
        let pages = 2 * self.kernel[0].len() as u64 + self.copies * ZBUF_PAGE as u64;
        let views = self.processes.len() * self.processes[0].len() * size_of::<View>();
        pages + views as u64
    }

    /// Adds the child of `parent`.
    pub(super) fn fork(&mut self, parent: usize) {
        if let Some(rule) = self.rule {
            for view in self.processes[parent].iter_mut().filter(|view| view.looks_at_kernel()) {
                view.marked = rule != ForkedPages::CopiedAtFork;
            }
        }
        self.processes.push(self.processes[parent].clone());
        let child = self.processes.len() - 1;
        // What the parent has of its own has just been copied for the child.
        let own = self.processes[child].iter().filter(|view| !view.looks_at_kernel()).count();
        self.copies += own as u64;
        if self.rule == Some(ForkedPages::CopiedAtFork) {
            for page in 0..self.processes[child].len() {
                self.copy(child, page);
            }
        }
    }

    /// Fills `out` with what `process` sees at `offset` of a buffer; the range lies in the buffer.
    pub(super) fn user_read(&self, process: usize, buffer: usize, offset: usize, out: &mut [u8]) {
        for (page, within, outer) in spans(offset, out.len()) {
            let view = &self.processes[process][self.index(buffer, page)];
            let bytes = match &view.own {
                Some(own) => &own[..],
                None => &self.kernel[buffer][page * ZBUF_PAGE..][..ZBUF_PAGE],
            };
            out[outer].copy_from_slice(&bytes[within]);
        }
    }

    /// Writes `bytes` where `process` sees `offset` of a buffer; the range lies in the buffer.
    pub(super) fn user_write(
        &mut self,
        process: usize,
        buffer: usize,
        offset: usize,
        bytes: &[u8],
    ) {
        for (page, within, outer) in spans(offset, bytes.len()) {
            let index = self.index(buffer, page);
            if self.processes[process][index].marked {
                self.decide(process, index);
            }
            let target = match &mut self.processes[process][index].own {
                Some(own) => &mut own[..],
                None => &mut self.kernel[buffer][page * ZBUF_PAGE..][..ZBUF_PAGE],
            };
            target[within].copy_from_slice(&bytes[outer]);
        }
    }

    /// The first write of `process` to a page that it shares only until then.
    fn decide(&mut self, process: usize, page: usize) {
        let looks = |other: &Vec<View>| other[page].looks_at_kernel();
        let writer_copies = match self.rule {
            Some(ForkedPages::EachWriterCopies) => true,
            Some(ForkedPages::WriterCopies) => {
                self.processes.iter().filter(|other| looks(other)).count() > 1
            }
            Some(ForkedPages::YoungerCopies) => self.processes[..process].iter().any(looks),
            Some(ForkedPages::CopiedAtFork) | None => false,
        };
        if writer_copies {
            return self.copy(process, page);
        }
        self.processes[process][page].marked = false;
        if self.rule == Some(ForkedPages::YoungerCopies) {
            for younger in process + 1..self.processes.len() {
                self.copy(younger, page);
            }
        }
    }

    /// Gives `process` a copy of the kernel's page, unless it has one of its own.
    fn copy(&mut self, process: usize, page: usize) {
        let (buffer, at) = (page / self.pages(), page % self.pages());
        let view = &mut self.processes[process][page];
        view.marked = false;
        if view.looks_at_kernel() {
            view.own = Some(self.kernel[buffer][at * ZBUF_PAGE..][..ZBUF_PAGE].into());
            self.copies += 1;
        }
    }

    /// Pages of one buffer.
    fn pages(&self) -> usize {
        self.kernel[0].len() / ZBUF_PAGE
    }

    fn index(&self, buffer: usize, page: usize) -> usize {
        buffer * self.pages() + page
    }
}

/// The pieces of `len` bytes at `offset`, one per page: page, where in it, where in the whole.
fn spans(offset: usize, len: usize) -> impl Iterator<Item = (usize, Range<usize>, Range<usize>)> {
    let mut at = offset;
    std::iter::from_fn(move || {
        let end = (offset + len).min((at / ZBUF_PAGE + 1) * ZBUF_PAGE);
        let (page, start) = (at / ZBUF_PAGE, at);
        at = end;
        let first = page * ZBUF_PAGE;
        (start < end).then(|| (page, start - first..end - first, start - offset..end - offset))
    })
}
