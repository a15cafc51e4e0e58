//! Exact nucleus sampling, keyed so that a draw depends on nothing but its key.

use twox_hash::XxHash3_64;

use super::backend::Sampling;

/// What one draw of one token depends on, besides the logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The sampling seed.
    pub seed: u64,
    /// A hash of the prompt's tokens, by [`prompt_hash`].
    pub prompt: u64,
    /// Which of the prompt's decisions.
    pub draw: u64,
    /// Which token of the decision.
    pub position: u64,
}

/// The hash of a prompt that keys its draws.
pub fn prompt_hash(tokens: &[u32]) -> u64 {
    let bytes: Vec<u8> = tokens
        .iter()
        .flat_map(|token| token.to_le_bytes())
        .collect();
    XxHash3_64::oneshot(&bytes)
}

/// Uniform numbers in [0, 1), the same for the same key.
#[derive(Debug)]
struct Uniforms {
    key: Key,
    drawn: u64,
}

impl Uniforms {
    fn next(&mut self) -> f64 {
        let mut bytes = [0; 32];
        let words = [
            self.key.prompt,
            self.key.draw,
            self.key.position,
            self.drawn,
        ];
        for (slot, word) in bytes.chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        self.drawn += 1;
        let hash = XxHash3_64::oneshot_with_seed(self.key.seed, &bytes);
        // The 53 bits that an f64 between 1/2 and 1 holds exactly.
        (hash >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Weights that are summed together before they are added to the others.
const BLOCK: usize = 64;

/// Draws tokens; holds the buffers they share.
#[derive(Debug, Default)]
pub struct Sampler {
    /// Unnormalised probabilities of the row at hand, and zeros up to a whole [`BLOCK`].
    weights: Vec<f32>,
    /// The mass of each block, as last asked for.
    blocks: Vec<f64>,
}

impl Sampler {
    /// Draws from the smallest set of likeliest tokens whose mass reaches `top_p`
    /// of the softmax of `logits / temperature`. None when the logits are not
    /// numbers.
    ///
    /// No sort: a token is in the set iff the mass strictly above it is below
    /// `top_p`, so draws from the whole softmax are rejected until one is. After
    /// a rejection only tokens above the rejected one are drawn from, which
    /// holds the set still and ends in a few rounds however small `top_p` is.
    pub fn draw(&mut self, logits: &[f32], sampling: &Sampling, key: Key) -> Option<u32> {
        self.weigh(logits, sampling.temperature);
        let total = self.mass_above(0.0);
        if !total.is_finite() {
            return None;
        }
        let mut uniforms = Uniforms { key, drawn: 0 };
        let (mut floor, mut mass) = (0.0, total);
        loop {
            let token = self.pick(floor, uniforms.next() * mass)?;
            if sampling.top_p >= 1.0 {
                return u32::try_from(token).ok();
            }
            floor = self.weights[token];
            mass = self.mass_above(floor);
            if mass < sampling.top_p * total {
                return u32::try_from(token).ok();
            }
        }
    }

    fn weigh(&mut self, logits: &[f32], temperature: f64) {
        let highest = highest(logits);
        // Neither 0 nor infinite, at whatever temperature: products with them may be no numbers.
        let scale = (1.0 / temperature).clamp(f32::MIN_POSITIVE.into(), f32::MAX.into()) as f32;
        self.weights.clear();
        let weights = logits.iter().map(|logit| exp((logit - highest) * scale));
        self.weights.extend(weights);
        self.weights
            .resize(logits.len().next_multiple_of(BLOCK), 0.0);
    }

    /// The mass of the weights above `floor`, which is at least 0.
    fn mass_above(&mut self, floor: f32) -> f64 {
        let above = |&weight: &f32| if weight <= floor { 0.0 } else { weight };
        self.blocks.clear();
        let blocks = self.weights.chunks_exact(BLOCK).map(|block| {
            let mut lanes = [0.0; 8];
            for weights in block.chunks_exact(lanes.len()) {
                for (lane, weight) in lanes.iter_mut().zip(weights) {
                    *lane += above(weight);
                }
            }
            lanes.into_iter().map(f64::from).sum::<f64>()
        });
        self.blocks.extend(blocks);
        self.blocks.iter().sum()
    }

    /// The token at `target` of the summed weights above `floor`, of which the blocks tell.
    fn pick(&self, floor: f32, target: f64) -> Option<usize> {
        let mut passed = 0.0;
        let mut block = None;
        for (index, &mass) in self.blocks.iter().enumerate() {
            if mass > 0.0 {
                block = Some((index * BLOCK, target - passed));
                passed += mass;
            }
            if passed > target {
                break;
            }
        }
        let (first, target) = block?;
        let weights = self.weights[first..].iter().take(BLOCK).enumerate();
        let (mut passed, mut last) = (0.0, None);
        for (index, &weight) in weights.filter(|&(_, &weight)| weight > floor) {
            passed += f64::from(weight);
            last = Some(first + index);
            if passed > target {
                break;
            }
        }
        last
    }
}

/// The highest logit. In lanes, for the sake of vector instructions.
fn highest(logits: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 8];
    let chunks = logits.chunks_exact(lanes.len());
    let rest = chunks.remainder().iter();
    for chunk in chunks {
        for (lane, logit) in lanes.iter_mut().zip(chunk) {
            *lane = lane.max(*logit);
        }
    }
    rest.chain(&lanes)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max)
}

/// e to the power of `x`, at most 0, within 2e-7 of it; NaN of NaN. A call of the mathematical
/// library for each token of a vocabulary costs as much as a layer of a small model; this is
/// free of calls and branches, and the same on every machine.
fn exp(x: f32) -> f32 {
    /// Smaller results are no longer normal numbers; they count as 0.
    const LOWEST: f32 = -87.0;
    /// Added to a small number it leaves the nearest integer in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    /// The logarithm of 2, in a short part and the rest: products with the short one are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    /// 1 / k!, from k = 7 down.
    const TAYLOR: [f32; 8] = [
        1.0 / 5040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let bounded = if x < LOWEST { LOWEST } else { x };
    let shifted = bounded * std::f32::consts::LOG2_E + ROUND;
    let power = shifted - ROUND;
    let rest = bounded - power * LN_2[0] - power * LN_2[1];
    let of_rest = TAYLOR.iter().fold(0.0, |sum, factor| sum * rest + factor);
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    let of_power = f32::from_bits(exponent.wrapping_add(127) << 23);
    if x < LOWEST { 0.0 } else { of_rest * of_power }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: Key = Key {
        seed: 42,
        prompt: 1,
        draw: 2,
        position: 3,
    };

    fn sampling(temperature: f64, top_p: f64) -> Sampling {
        Sampling {
            temperature,
            top_p,
            ..Sampling::default()
        }
    }

    /// Probabilities of the nucleus by sorting, zero outside.
    fn nucleus(logits: &[f32], sampling: &Sampling) -> Vec<f64> {
        let weights: Vec<f64> = logits
            .iter()
            .map(|&logit| (f64::from(logit) / sampling.temperature).exp())
            .collect();
        let total: f64 = weights.iter().sum();
        let inside = |weight: f64| {
            weights.iter().filter(|&&other| other > weight).sum::<f64>() < sampling.top_p * total
        };
        let kept: Vec<f64> = weights
            .iter()
            .map(|&weight| if inside(weight) { weight } else { 0.0 })
            .collect();
        let mass: f64 = kept.iter().sum();
        kept.iter().map(|weight| weight / mass).collect()
    }

    fn draw(logits: &[f32], sampling: &Sampling, position: u64) -> usize {
        let key = Key { position, ..KEY };
        Sampler::default().draw(logits, sampling, key).unwrap() as usize
    }

    proptest! {
        #[test]
        fn nothing_outside_the_nucleus_is_drawn(
            logits in prop::collection::vec(-8.0_f32..8.0, 2..200),
            top_p in 0.001_f64..=1.0,
            temperature in 0.2_f64..3.0,
            position in any::<u64>(),
        ) {
            let sampling = sampling(temperature, top_p);
            let token = draw(&logits, &sampling, position);
            prop_assert!(nucleus(&logits, &sampling)[token] > 0.0);
        }
    }

    #[test]
    fn frequencies_are_the_nucleus_probabilities() {
        let logits: Vec<f32> = (0..12).map(|i| (i * 7 % 12) as f32 / 3.0).collect();
        for (temperature, top_p) in [(1.0, 0.9), (0.7, 0.5), (2.0, 1.0)] {
            let sampling = sampling(temperature, top_p);
            let mut counts = vec![0.0; logits.len()];
            let draws = 40_000;
            for position in 0..draws {
                counts[draw(&logits, &sampling, position)] += 1.0;
            }
            for (count, probability) in counts.iter().zip(nucleus(&logits, &sampling)) {
                let error = (count / draws as f64 - probability).abs();
                let spread = (probability * (1.0 - probability) / draws as f64).sqrt();
                assert!(error <= 5.0 * spread, "{error} > 5 × {spread}");
            }
        }
    }

    proptest! {
        #[test]
        fn exp_is_the_exponential(x in -87.0_f32..=0.0) {
            let right = f64::from(x).exp();
            prop_assert!((f64::from(exp(x)) / right - 1.0).abs() < 2e-7);
        }
    }

    #[test]
    fn exp_ends_at_zero() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!((exp(-88.0), exp(f32::NEG_INFINITY)), (0.0, 0.0));
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn a_tiny_nucleus_is_the_likeliest_token() {
        let mut logits = vec![0.0; 1000];
        logits[700] = 0.1;
        for position in 0..100 {
            assert_eq!(draw(&logits, &sampling(1.0, 1e-9), position), 700);
        }
    }

    #[test]
    fn any_temperature_will_do() {
        let logits = [f32::NEG_INFINITY, 0.5, 3.0, f32::NEG_INFINITY];
        for position in 0..100 {
            assert_eq!(draw(&logits, &sampling(1e-300, 0.9), position), 2);
            let hot = draw(&logits, &sampling(1e300, 1.0), position);
            assert!([1, 2].contains(&hot), "{hot}");
        }
    }

    #[test]
    fn every_part_of_the_key_counts() {
        let logits = vec![0.0; 1 << 16];
        let first = |key| Sampler::default().draw(&logits, &sampling(1.0, 1.0), key);
        assert_eq!(first(KEY), first(KEY));
        for other in [
            Key { seed: 7, ..KEY },
            Key { prompt: 7, ..KEY },
            Key { draw: 7, ..KEY },
            Key { position: 7, ..KEY },
        ] {
            assert_ne!(first(KEY), first(other));
        }
    }

    #[test]
    fn logits_that_are_not_numbers_draw_nothing() {
        let mut sampler = Sampler::default();
        assert_eq!(
            sampler.draw(&[0.0, f32::NAN], &sampling(1.0, 0.9), KEY),
            None
        );
        assert_eq!(
            sampler.draw(&[f32::INFINITY, 0.0], &sampling(1.0, 0.9), KEY),
            None
        );
    }
}
