//! How a window (convolution, pooling) moves claims from output to input positions, along one side.

use crate::extension::Extension;

/// One side of a window over an image.
#[derive(Clone, Copy)]
pub(crate) struct Side {
    /// Output positions.
    pub(crate) positions: usize,
    /// Kernel length.
    pub(crate) kernel: usize,
    /// Step.
    pub(crate) stride: usize,
    /// Padding before.
    pub(crate) before: usize,
    /// Input length.
    pub(crate) length: usize,
}

impl Side {
    /// `A(h) = Σ over output positions o and kernel places i with o·stride + i − before = h of
    /// positions[o]·kernel[i]`, for every real input place h.
    pub(crate) fn spread<E: Extension>(
        self,
        positions: &[E],
        kernel: impl Fn(usize) -> E,
    ) -> Vec<E> {
        let mut spread = vec![E::ZERO; self.length];
        for (output, weight) in positions.iter().enumerate().take(self.positions) {
            for place in 0..self.kernel {
                let input = (output * self.stride + place).checked_sub(self.before);
                if let Some(cell) = input.and_then(|h| spread.get_mut(h)) {
                    *cell += *weight * kernel(place);
                }
            }
        }
        spread
    }
}

/// Both sides of an operation's window: height, width.
pub(crate) fn sides(window: &crate::model::Window, input: &[usize], output: &[usize]) -> [Side; 2] {
    [0, 1].map(|side| Side {
        positions: output[side + 1],
        kernel: window.kernel[side],
        stride: window.strides[side],
        before: window.pads[side],
        length: input[side + 1],
    })
}

impl Side {
    /// Input places that kernel place `i` meets, each with the weight of its output position.
    pub(crate) fn at<E: Extension>(self, positions: &[E], i: usize) -> Vec<(usize, E)> {
        let meets = |(output, weight): (usize, &E)| {
            let input = (output * self.stride + i).checked_sub(self.before)?;
            (input < self.length).then_some((input, *weight))
        };
        positions.iter().enumerate().take(self.positions).filter_map(meets).collect()
    }
}
