//! Where the elements of a tensor of the file are in an NHWC tensor.

/// A loop over elements `stride` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    size: usize,
    stride: usize,
}

/// The dimensions of a tensor of the file, each as nested loops over the places of an NHWC tensor, outermost first.
/// All places are met once. A dimension of size 1 has no loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View(Vec<Vec<Step>>);

fn merged(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    let mut result: Vec<Step> = Vec::new();
    for step in steps.into_iter().filter(|s| s.size != 1) {
        match result.last_mut() {
            Some(last) if last.stride == step.size * step.stride => {
                *last = Step { size: last.size * step.size, stride: step.stride };
            }
            _ => result.push(step),
        }
    }
    result
}

impl View {
    /// `[1, c, h, w]`.
    pub(super) fn nchw([h, w, c]: [usize; 3]) -> Self {
        Self::nhwc([h, w, c]).transpose(&[0, 3, 1, 2])
    }

    /// `[1, h, w, c]`.
    pub(super) fn nhwc([h, w, c]: [usize; 3]) -> Self {
        let dims = [(1, 0), (h, w * c), (w, c), (c, 1)];
        Self(dims.map(|(size, stride)| merged([Step { size, stride }])).to_vec())
    }

    /// Sizes of 1 but for `axis`, which holds the channels of a tensor of 1 × 1 × `c`.
    pub(super) fn vector(rank: usize, axis: usize, c: usize) -> Self {
        let step = Step { size: c, stride: 1 };
        Self((0..rank).map(|i| merged((i == axis).then_some(step))).collect())
    }

    /// Sizes in the file.
    pub(super) fn shape(&self) -> Vec<usize> {
        self.0.iter().map(|d| d.iter().map(|s| s.size).product()).collect()
    }

    /// Dimension i is dimension `order[i]` of this.
    ///
    /// # Panics
    ///
    /// Where `order` names a dimension that is not there.
    pub(super) fn transpose(&self, order: &[usize]) -> Self {
        Self(order.iter().map(|&i| self.0[i].clone()).collect())
    }

    /// The same elements in the same order with other sizes; `None` where a size cuts a loop unevenly.
    pub(super) fn reshape(&self, shape: &[usize]) -> Option<Self> {
        let mut rest: Vec<Step> = merged(self.0.iter().flatten().copied());
        rest.reverse();
        let mut dims = Vec::new();
        for &size in shape {
            let (mut want, mut dim) = (size, Vec::new());
            while want != 1 {
                let step = rest.pop()?;
                let taken = if want == 0 { return None } else { step.size.min(want) };
                if step.size % taken != 0 || want % taken != 0 {
                    return None;
                }
                let inner = step.size / taken;
                dim.push(Step { size: taken, stride: step.stride * inner });
                if inner != 1 {
                    rest.push(Step { size: inner, stride: step.stride });
                }
                want /= taken;
            }
            dims.push(merged(dim));
        }
        rest.is_empty().then_some(Self(dims))
    }

    /// The same with sizes of 1 in front, up to `rank` dimensions.
    pub(super) fn padded(&self, rank: usize) -> Self {
        let missing = rank.saturating_sub(self.0.len());
        Self([vec![Vec::new(); missing], self.0.clone()].concat())
    }

    /// Places along one dimension.
    pub(super) fn places_of(&self, axis: usize) -> Vec<usize> {
        places(&self.0[axis])
    }

    /// The place of each element, in the order of the file.
    pub(super) fn places(&self) -> Vec<usize> {
        places(&merged(self.0.iter().flatten().copied()))
    }

    /// Whether the dimensions other than `axis` run over the pixels of a map of `pixels` and `c` channels in the order
    /// that they have in memory.
    pub(super) fn pixels_beside(&self, axis: usize, pixels: usize, c: usize) -> bool {
        let beside = self.0.iter().enumerate().filter(|&(i, _)| i != axis).flat_map(|(_, d)| d);
        merged(beside.copied()) == merged([Step { size: pixels, stride: c }])
    }

    /// Whether this is `[1, c, h, w]` or `[1, h, w, c]` of an h × w × c tensor but for the order of channels.
    pub(super) fn is_map(&self, axis: usize, [h, w, c]: [usize; 3]) -> bool {
        let whole = if axis == 1 { Self::nchw([h, w, c]) } else { Self::nhwc([h, w, c]) };
        self.0.len() == 4 && (0..4).all(|i| i == axis || self.0[i] == whole.0[i])
    }

    /// The same view after `axis`, which runs over all of `c` channels, became `channels` channels in memory order.
    pub(super) fn with_channels(&self, axis: usize, c: usize, channels: usize) -> Self {
        let scaled = |s: &Step| Step { size: s.size, stride: s.stride / c * channels };
        let whole = merged([Step { size: channels, stride: 1 }]);
        let dims = self.0.iter().enumerate();
        Self(
            dims.map(|(i, d)| if i == axis { whole.clone() } else { d.iter().map(scaled).collect() })
                .collect(),
        )
    }
}

fn places(steps: &[Step]) -> Vec<usize> {
    let mut result = vec![0];
    for step in steps {
        result =
            result.iter().flat_map(|&base| (0..step.size).map(move |i| base + i * step.stride)).collect();
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_shuffle_is_a_view() {
        let view = View::nchw([2, 3, 6]);
        let shuffled = view.reshape(&[1, 2, 3, 2, 3]).unwrap().transpose(&[0, 2, 1, 3, 4]);
        let back = shuffled.reshape(&[1, 6, 2, 3]).unwrap();
        assert_eq!(back.places_of(1), [0, 3, 1, 4, 2, 5]);
        assert!(back.is_map(1, [2, 3, 6]));
        assert!(back.pixels_beside(1, 6, 6));
        assert_eq!(back.with_channels(1, 6, 4), View::nchw([2, 3, 4]));
    }

    #[test]
    fn a_flat_vector_runs_over_channels_first() {
        let flat = View::nchw([2, 2, 3]).reshape(&[1, 12]).unwrap();
        assert_eq!(flat.places(), [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]);
        assert_eq!(flat.reshape(&[1, 3, 2, 2]).unwrap(), View::nchw([2, 2, 3]));
        for bad in [&[5][..], &[0], &[24], &[5, 5], &[2, 2]] {
            assert_eq!(flat.reshape(bad), None, "{bad:?}");
        }
    }
}
