//! What lies between the driver and the device's registers: a slot that may be empty, and a system that masks
//! vectors.
//!
//! Contract: [`Port`](crate::world::port::Port) asks it at each access. Not kept: wishes about vectors from
//! 128 on, which no receive queue has.

/// See the module's contract.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    /// The device is gone: reads give all ones, writes go nowhere.
    pub removed: bool,
    /// Nobody answers control commands.
    pub control_dead: bool,
    /// At so many readings the configuration changes between its two generations.
    pub unsteady: u64,
    /// What these changes have added to the generation.
    pub generations: u8,
    /// Vectors that the driver wants masked, one bit each.
    wished: u128,
    /// Vectors that the system masks.
    held: u128,
}

impl Slot {
    /// The system masks `vector`, or no longer does: whether it is masked now.
    pub fn hold_masked(&mut self, vector: u16, held: bool) -> bool {
        set(&mut self.held, vector, held);
        self.is_masked(vector)
    }

    /// The driver masks or unmasks `vector`: whether it is masked now.
    pub fn wish_masked(&mut self, vector: u16, wished: bool) -> bool {
        set(&mut self.wished, vector, wished);
        if vector < 128 { self.is_masked(vector) } else { wished }
    }

    /// The configuration is read: it may change under the reader's hands.
    pub fn config_read(&mut self) {
        if self.unsteady > 0 {
            self.unsteady -= 1;
            self.generations = self.generations.wrapping_add(1);
        }
    }

    fn is_masked(&self, vector: u16) -> bool {
        vector < 128 && (self.wished | self.held) >> vector & 1 == 1
    }
}

fn set(bits: &mut u128, vector: u16, on: bool) {
    if vector < 128 {
        *bits = *bits & !(1 << vector) | u128::from(on) << vector;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_masked_while_anybody_wants_it_so() {
        let mut slot = Slot::default();
        assert!(slot.hold_masked(3, true));
        assert!(slot.wish_masked(3, true) && slot.wish_masked(3, false), "the system holds it");
        assert!(!slot.hold_masked(3, false));
        assert!(slot.wish_masked(4, true) && slot.hold_masked(4, true));
        assert!(slot.hold_masked(4, false), "the driver wants it so");
        assert!(slot.wish_masked(500, true) && !slot.wish_masked(500, false));
    }
}
