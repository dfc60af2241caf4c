//! The MSI-X table: per vector a mask bit, a pending bit and the CPU its message goes to.
//!
//! A message for a masked vector sets the pending bit; unmasking sends it, once, however many were asked
//! for meanwhile (PCI Express Base, 6.1.4). Vectors start unmasked and aimed at CPU 0: what the operating
//! system does to enable MSI-X as such is not modelled.

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct Msix {
    vectors: Vec<Vector>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Vector {
    cpu: u16,
    masked: bool,
    pending: bool,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// It leaves for this CPU.
    Sent { cpu: u16 },
    /// The vector is masked; the pending bit is set.
    Pended,
}

impl Msix {
    pub(crate) fn new(vectors: u16) -> Self {
        Self { vectors: vec![Vector::default(); vectors.into()] }
    }

    pub(crate) fn exists(&self, vector: u16) -> bool {
        usize::from(vector) < self.vectors.len()
    }

    /// Asks for a message. `vector` was checked when it was assigned to a queue.
    pub(crate) fn signal(&mut self, vector: u16) -> Message {
        let vector = &mut self.vectors[usize::from(vector)];
        if vector.masked {
            vector.pending = true;
            Message::Pended
        } else {
            Message::Sent { cpu: vector.cpu }
        }
    }

    /// Masks or unmasks; the CPU of a pending message that this sets free. An unknown vector is no vector.
    pub(crate) fn set_masked(&mut self, vector: u16, masked: bool) -> Option<u16> {
        let vector = self.vectors.get_mut(usize::from(vector))?;
        vector.masked = masked;
        if masked || !vector.pending {
            return None;
        }
        vector.pending = false;
        Some(vector.cpu)
    }

    /// Aims a vector at a CPU. An unknown vector is no vector.
    pub(crate) fn set_cpu(&mut self, vector: u16, cpu: u16) {
        if let Some(vector) = self.vectors.get_mut(usize::from(vector)) {
            vector.cpu = cpu;
        }
    }

    /// A device that was reset has nothing more to say; masks and CPUs are the system's and stay.
    pub(crate) fn forget_pending(&mut self) {
        for vector in &mut self.vectors {
            vector.pending = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_vector_pends_and_delivers_once() {
        let mut msix = Msix::new(2);
        msix.set_cpu(1, 7);
        assert_eq!(msix.signal(1), Message::Sent { cpu: 7 });
        assert_eq!(msix.set_masked(1, true), None);
        assert_eq!(msix.signal(1), Message::Pended);
        assert_eq!(msix.signal(1), Message::Pended);
        assert_eq!(msix.set_masked(1, true), None, "masking again delivers nothing");
        assert_eq!(msix.set_masked(1, false), Some(7));
        assert_eq!(msix.set_masked(1, false), None);
    }

    #[test]
    fn unknown_vectors_are_ignored_and_reset_forgets() {
        let mut msix = Msix::new(1);
        msix.set_cpu(9, 1);
        assert_eq!(msix.set_masked(9, false), None);
        msix.set_masked(0, true);
        msix.signal(0);
        msix.forget_pending();
        assert_eq!(msix.set_masked(0, false), None);
    }
}
