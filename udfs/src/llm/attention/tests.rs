//! The operator against the definition of attention, in twice the precision.

use ort::value::Shape;
use proptest::prelude::*;

use super::kernel::Kernel;
use super::layer::{Layer, Output};

const THERE: f32 = 0.0;
const ABSENT: f32 = -3e4;
const SCALE: f32 = 0.3;

/// The sizes of a step, and which tokens are there.
#[derive(Debug, Clone)]
struct Case {
    places: usize,
    heads: usize,
    group: usize,
    new: usize,
    past: usize,
    prefix: usize,
    width: usize,
    /// Tokens of each prompt.
    read: Vec<usize>,
    /// Tokens that each text has written.
    written: Vec<usize>,
    seed: u64,
}

/// The numbers of each input.
struct Inputs([(Shape, Vec<f32>); 8]);

fn cases() -> impl Strategy<Value = Case> {
    let sizes = (1..3_usize, 1..5_usize, 1..3_usize, 1..4_usize, 1..70_usize);
    let rooms = (1..140_usize, 2..200_usize, 1..6_usize, any::<u64>());
    (sizes, rooms).prop_flat_map(|((prompts, places, heads, group, new), rooms)| {
        let (past, prefix, sixteens, seed) = rooms;
        let read = proptest::collection::vec(0..prefix, prompts);
        let written = proptest::collection::vec(0..=past, prompts * places);
        (read, written).prop_map(move |(read, written)| Case {
            places,
            heads,
            group,
            new,
            past,
            prefix,
            width: 16 * sixteens,
            read,
            written,
            seed,
        })
    })
}

impl Case {
    fn all_places(&self) -> usize {
        self.read.len() * self.places
    }

    fn inputs(&self) -> Inputs {
        let Self {
            heads,
            group,
            new,
            past,
            prefix,
            width,
            ..
        } = *self;
        let (prompts, all_places) = (self.read.len(), self.all_places());
        let mut state = self.seed;
        let mut random = |shape: [usize; 4]| {
            let numbers = (0..shape.iter().product()).map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
            });
            let numbers: Vec<f32> = numbers.collect();
            (Shape::new(shape.map(|size| size as i64)), numbers)
        };
        let mut inputs = [
            [all_places, heads * group, new, width],
            [all_places, heads, new, width],
            [all_places, heads, new, width],
            [all_places, heads, past, width],
            [all_places, heads, past, width],
            [prompts, heads, prefix, width + 2],
            [prompts, heads, prefix, width],
            [all_places, 1, new, past + new],
        ]
        .map(&mut random);
        for (index, key) in inputs[5].1.chunks_exact_mut(width + 2).enumerate() {
            let (prompt, token) = (index / prefix / heads, index % prefix);
            let mark = if token <= self.read[prompt] {
                THERE
            } else {
                ABSENT
            };
            key[width..].copy_from_slice(&[mark, 0.0]);
        }
        for (index, biases) in inputs[7].1.chunks_exact_mut(past + new).enumerate() {
            let (place, token) = (index / new, index % new);
            for (other, bias) in biases.iter_mut().enumerate() {
                let seen = match other.checked_sub(past) {
                    Some(other) => other <= token,
                    None => other < self.written[place],
                };
                *bias = if seen { THERE } else { ABSENT };
            }
        }
        Inputs(inputs)
    }

    /// The inputs of one text, with what is there as `inputs` of `case` have it at `place`.
    fn taken(&self, inputs: &Inputs, case: &Self, place: usize) -> Inputs {
        let mut taken = self.inputs();
        let prompt = place / case.places;
        let (past, read) = (self.written[0], 1 + self.read[0]);
        // Of each tensor: its row, tokens there are and there is room for in both, numbers.
        for (tensor, (row, there, room, roomy, stride)) in [
            (
                place,
                self.group * self.new,
                self.group * self.new,
                self.group * self.new,
                self.width,
            ),
            (place, self.new, self.new, self.new, self.width),
            (place, self.new, self.new, self.new, self.width),
            (place, past, case.past, self.past, self.width),
            (place, past, case.past, self.past, self.width),
            (prompt, read, case.prefix, self.prefix, self.width + 2),
            (prompt, read, case.prefix, self.prefix, self.width),
        ]
        .into_iter()
        .enumerate()
        {
            for head in 0..self.heads {
                let from = (row * self.heads + head) * room * stride;
                let from = &inputs.0[tensor].1[from..from + there * stride];
                let to = head * roomy * stride;
                taken.0[tensor].1[to..to + there * stride].copy_from_slice(from);
            }
        }
        taken
    }

    /// Keys and values that a new token sees, one after the other.
    fn seen<'a>(
        &self,
        inputs: &'a Inputs,
        [place, head, token]: [usize; 3],
    ) -> Vec<(&'a [f32], &'a [f32])> {
        let prompt = place / self.places;
        let part =
            |tensor: usize, row: usize, room: usize, stride: usize, of: std::ops::Range<usize>| {
                let at = (row * self.heads + head) * room;
                let numbers = |tensor: usize, stride: usize, token: usize| {
                    &inputs.0[tensor].1[(at + token) * stride..][..self.width]
                };
                let both = of.map(move |token| {
                    (
                        numbers(tensor, stride, token),
                        numbers(tensor + 1, self.width, token),
                    )
                });
                both.collect::<Vec<_>>()
            };
        let marked = self.width + 2;
        [
            part(5, prompt, self.prefix, marked, 1..1 + self.read[prompt]),
            part(3, place, self.past, self.width, 0..self.written[place]),
            part(1, place, self.new, self.width, 0..token + 1),
        ]
        .concat()
    }

    /// Attention, by its definition.
    fn expected(&self, inputs: &Inputs) -> Vec<f64> {
        let mut results = Vec::new();
        for place in 0..self.all_places() {
            for token in 0..self.new {
                for query_head in 0..self.heads * self.group {
                    let at = (place * self.heads * self.group + query_head) * self.new + token;
                    let query = &inputs.0[0].1[at * self.width..][..self.width];
                    let seen = self.seen(inputs, [place, query_head / self.group, token]);
                    results.extend(attention(query, &seen));
                }
            }
        }
        results
    }
}

fn attention(query: &[f32], seen: &[(&[f32], &[f32])]) -> Vec<f64> {
    let score = |key: &[f32]| {
        let products = query
            .iter()
            .zip(key)
            .map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum::<f64>() * f64::from(SCALE)
    };
    let shares: Vec<_> = seen.iter().map(|(key, _)| score(key).exp()).collect();
    let total: f64 = shares.iter().sum();
    let numbers = (0..query.len()).map(|number| {
        let weighed = seen
            .iter()
            .zip(&shares)
            .map(|((_, value), share)| share * f64::from(value[number]));
        weighed.sum::<f64>() / total
    });
    numbers.collect()
}

fn computed(kernel: &'static Kernel, inputs: &Inputs) -> Vec<f32> {
    let tensors = inputs
        .0
        .each_ref()
        .map(|(shape, numbers)| (shape, numbers.as_slice()));
    let layer = Layer::new(kernel, SCALE, &tensors).unwrap();
    let mut results = vec![f32::NAN; layer.output_shape().iter().product()];
    let output = Output(results.as_mut_ptr());
    for unit in 0..layer.units() {
        layer.compute(unit, &output);
    }
    results
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().copied().map(f32::to_bits).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_is_attention_and_every_vector_gives_the_same_bits(case in cases()) {
        let inputs = case.inputs();
        let expected = case.expected(&inputs);
        let mut first: Option<Vec<f32>> = None;
        for kernel in Kernel::all() {
            let results = computed(kernel, &inputs);
            for (result, expected) in results.iter().zip(&expected) {
                prop_assert!((f64::from(*result) - expected).abs() < 3e-6, "{result} {expected}");
            }
            let first = first.get_or_insert_with(|| results.clone());
            prop_assert_eq!(bits(&results), bits(first));
        }
    }

    #[test]
    fn a_text_gets_the_same_bits_alone_and_with_more_room(case in cases(), more in 0..100_usize) {
        let Some(kernel) = Kernel::of_processor() else { return Ok(()) };
        let inputs = case.inputs();
        let together = computed(kernel, &inputs);
        let of_place = together.len() / case.all_places();
        for place in 0..case.all_places() {
            let prompt = place / case.places;
            let alone = Case {
                places: 1,
                past: case.past + more,
                prefix: case.prefix + more,
                read: vec![case.read[prompt]],
                written: vec![case.written[place]],
                ..case.clone()
            };
            let inputs = alone.taken(&inputs, &case, place);
            let result = computed(kernel, &inputs);
            let expected = &together[place * of_place..(place + 1) * of_place];
            prop_assert_eq!(bits(&result), bits(expected));
        }
    }
}
