//! A graph → places on a plane: layers from left to right, few crossings, straight ways. Pure; boxes and points in pixels.
//!
//! Sugiyama's way: ranks, invisible nodes where an edge passes a layer, orders by the neighbours' middle, then the places that are nearest to
//! the neighbours' (isotonic regression, exact for one layer). Each connected part is laid out alone; what is not connected stands in a grid.

use std::collections::{BTreeMap, BTreeSet};

/// The height of a box.
pub(crate) const HEIGHT: f64 = 50.0;
/// Between two boxes of a layer.
const ROW_GAP: f64 = 20.0;
/// Between two layers.
const LAYER_GAP: f64 = 54.0;
/// The sweeps over the layers, there and back.
const SWEEPS: usize = 12;

/// A box: where its upper left corner is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Place {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
}

/// The way of an edge: points from the right of one box to the left of another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Way {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) points: Vec<(f64, f64)>,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Layout {
    pub(crate) places: Vec<Place>,
    pub(crate) ways: Vec<Way>,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// A node of one connected part; one without a box lets an edge pass.
struct Node {
    of: Option<usize>,
    rank: usize,
    before: Vec<usize>,
    behind: Vec<usize>,
    y: f64,
}

/// Lays boxes of some widths out; edges are pairs of their numbers.
pub(crate) fn layout(widths: &[f64], edges: &[(usize, usize)]) -> Layout {
    let edges: BTreeSet<(usize, usize)> = edges
        .iter()
        .copied()
        .filter(|(from, to)| from != to && *from < widths.len() && *to < widths.len())
        .collect();
    let mut layout = Layout {
        places: widths
            .iter()
            .map(|width| Place {
                width: *width,
                ..Place::default()
            })
            .collect(),
        ..Layout::default()
    };
    let mut alone = Vec::new();
    for part in parts(widths.len(), &edges) {
        if let [one] = part.as_slice() {
            alone.push(*one);
            continue;
        }
        let top = if layout.height > 0.0 {
            layout.height + 2.0 * ROW_GAP
        } else {
            0.0
        };
        connected(&part, &edges, &mut layout, top);
    }
    grid(&alone, &mut layout);
    layout
}

/// The connected parts, the greatest first.
fn parts(nodes: usize, edges: &BTreeSet<(usize, usize)>) -> Vec<Vec<usize>> {
    let mut leader: Vec<usize> = (0..nodes).collect();
    for (from, to) in edges {
        let (a, b) = (find(&mut leader, *from), find(&mut leader, *to));
        if let Some(slot) = leader.get_mut(a.max(b)) {
            *slot = a.min(b);
        }
    }
    let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for node in 0..nodes {
        parts.entry(find(&mut leader, node)).or_default().push(node);
    }
    let mut parts: Vec<Vec<usize>> = parts.into_values().collect();
    parts.sort_by_key(|part| (std::cmp::Reverse(part.len()), part.first().copied()));
    parts
}

/// The part that a node is in, by its leader; the way there is made shorter.
fn find(leader: &mut [usize], mut at: usize) -> usize {
    while let Some(next) = leader.get(at).copied().filter(|next| *next != at) {
        let over = leader.get(next).copied().unwrap_or(next);
        if let Some(slot) = leader.get_mut(at) {
            *slot = over;
        }
        at = over;
    }
    at
}

/// What is not connected: rows of boxes below the rest.
fn grid(alone: &[usize], layout: &mut Layout) {
    if alone.is_empty() {
        return;
    }
    let room = layout.width.max(900.0);
    let mut y = if layout.height > 0.0 {
        layout.height + 2.0 * ROW_GAP
    } else {
        0.0
    };
    let mut x = 0.0;
    for node in alone {
        let Some(place) = layout.places.get_mut(*node) else {
            continue;
        };
        if x > 0.0 && x + place.width > room {
            x = 0.0;
            y += HEIGHT + ROW_GAP;
        }
        (place.x, place.y) = (x, y);
        x += place.width + ROW_GAP;
        layout.width = layout.width.max(x - ROW_GAP);
    }
    layout.height = y + HEIGHT;
}

fn connected(part: &[usize], edges: &BTreeSet<(usize, usize)>, layout: &mut Layout, top: f64) {
    let number: BTreeMap<usize, usize> =
        part.iter().enumerate().map(|(at, of)| (*of, at)).collect();
    let inner: Vec<(usize, usize)> = edges
        .iter()
        .filter_map(|(from, to)| Some((*number.get(from)?, *number.get(to)?)))
        .collect();
    let ranks = ranks(part.len(), &inner);
    let mut nodes: Vec<Node> = part
        .iter()
        .zip(&ranks)
        .map(|(of, rank)| Node {
            of: Some(*of),
            rank: *rank,
            before: Vec::new(),
            behind: Vec::new(),
            y: 0.0,
        })
        .collect();
    let mut chains = Vec::new();
    for (from, to) in inner {
        let rank = |at: usize| ranks.get(at).copied().unwrap_or_default();
        // An edge that closes a cycle is drawn from right to left.
        let (left, right) = if rank(from) <= rank(to) {
            (from, to)
        } else {
            (to, from)
        };
        let mut chain = vec![left];
        for between in rank(left) + 1..rank(right) {
            nodes.push(Node {
                of: None,
                rank: between,
                before: Vec::new(),
                behind: Vec::new(),
                y: 0.0,
            });
            chain.push(nodes.len() - 1);
        }
        chain.push(right);
        for pair in chain.windows(2) {
            if let [a, b] = pair {
                link(&mut nodes, *a, *b);
            }
        }
        chains.push((chain, left != from));
    }
    let mut layers = ordered(&mut nodes);
    settle(&mut nodes, &mut layers);
    let least = nodes
        .iter()
        .map(|node| node.y)
        .fold(f64::INFINITY, f64::min);
    let mut x = 0.0;
    let mut columns = Vec::new();
    for layer in &layers {
        let width = layer
            .iter()
            .filter_map(|at| layout.places.get(nodes.get(*at)?.of?))
            .map(|place| place.width)
            .fold(0.0, f64::max);
        columns.push((x, width));
        x += width + LAYER_GAP;
    }
    for node in &nodes {
        let (Some(of), Some((x, width))) = (node.of, columns.get(node.rank)) else {
            continue;
        };
        if let Some(place) = layout.places.get_mut(of) {
            // The boxes of a layer are as wide as the widest.
            (place.x, place.width) = (*x, *width);
            place.y = top + node.y - least;
            layout.height = layout.height.max(place.y + HEIGHT);
            layout.width = layout.width.max(x + width);
        }
    }
    for (chain, back) in chains {
        let mut points = Vec::new();
        for (at, number) in chain.iter().enumerate() {
            let Some(node) = nodes.get(*number) else {
                continue;
            };
            let middle = top + node.y - least + HEIGHT / 2.0;
            match (
                node.of.and_then(|of| layout.places.get(of)),
                columns.get(node.rank),
            ) {
                (Some(place), _) if at == 0 => points.push((place.x + place.width, middle)),
                (Some(place), _) => points.push((place.x, middle)),
                (None, Some((x, width))) => {
                    points.push((*x, middle));
                    points.push((x + width, middle));
                }
                (None, None) => {}
            }
        }
        if back {
            points.reverse();
        }
        let end = |number: Option<&usize>| number.and_then(|at| nodes.get(*at)?.of);
        let (mut from, mut to) = (end(chain.first()), end(chain.last()));
        if back {
            std::mem::swap(&mut from, &mut to);
        }
        if let (Some(from), Some(to)) = (from, to) {
            layout.ways.push(Way { from, to, points });
        }
    }
}

fn link(nodes: &mut [Node], a: usize, b: usize) {
    if let Some(node) = nodes.get_mut(a) {
        node.behind.push(b);
    }
    if let Some(node) = nodes.get_mut(b) {
        node.before.push(a);
    }
}

/// The longest way to each node; one that nothing leads to stands just before the first that it leads to.
fn ranks(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut behind = vec![Vec::new(); count];
    for (from, to) in edges {
        if let Some(list) = behind.get_mut(*from) {
            list.push(*to);
        }
    }
    // Depth first; an edge to a node that is still open closes a cycle and does not count.
    let mut state = vec![0_u8; count];
    let mut sorted = Vec::new();
    let mut forward = Vec::new();
    for start in 0..count {
        if state.get(start) != Some(&0) {
            continue;
        }
        let mut stack = vec![(start, 0)];
        if let Some(slot) = state.get_mut(start) {
            *slot = 1;
        }
        while let Some((node, next)) = stack.pop() {
            let to = behind
                .get(node)
                .and_then(|list: &Vec<usize>| list.get(next))
                .copied();
            let Some(to) = to else {
                if let Some(slot) = state.get_mut(node) {
                    *slot = 2;
                }
                sorted.push(node);
                continue;
            };
            stack.push((node, next + 1));
            match state.get(to) {
                Some(0) => {
                    forward.push((node, to));
                    if let Some(slot) = state.get_mut(to) {
                        *slot = 1;
                    }
                    stack.push((to, 0));
                }
                Some(2) => forward.push((node, to)),
                _ => {}
            }
        }
    }
    sorted.reverse();
    let mut ranks = vec![0_usize; count];
    let mut out = vec![Vec::new(); count];
    let mut fed = vec![false; count];
    for (from, to) in forward {
        if let Some(list) = out.get_mut(from) {
            list.push(to);
        }
        if let Some(slot) = fed.get_mut(to) {
            *slot = true;
        }
    }
    for node in &sorted {
        let rank = ranks.get(*node).copied().unwrap_or_default();
        for to in out.get(*node).into_iter().flatten() {
            if let Some(slot) = ranks.get_mut(*to) {
                *slot = (*slot).max(rank + 1);
            }
        }
    }
    for node in 0..count {
        let first = out
            .get(node)
            .into_iter()
            .flatten()
            .filter_map(|to| ranks.get(*to))
            .min()
            .copied();
        if let (Some(false), Some(first)) = (fed.get(node), first)
            && let Some(slot) = ranks.get_mut(node)
        {
            *slot = first.saturating_sub(1);
        }
    }
    let least = ranks.iter().min().copied().unwrap_or_default();
    ranks.iter().map(|rank| rank - least).collect()
}

/// The layers, each in an order with few crossings.
fn ordered(nodes: &mut [Node]) -> Vec<Vec<usize>> {
    let depth = nodes.iter().map(|node| node.rank + 1).max().unwrap_or(0);
    let mut layers = vec![Vec::new(); depth];
    for (at, node) in nodes.iter().enumerate() {
        if let Some(layer) = layers.get_mut(node.rank) {
            layer.push(at);
        }
    }
    let mut best = layers.clone();
    let mut fewest = crossings(nodes, &layers);
    for sweep in 0..SWEEPS {
        if fewest == 0 {
            break;
        }
        let forward = sweep % 2 == 0;
        let mut position = vec![0.0; nodes.len()];
        for layer in &layers {
            place(&mut position, layer);
        }
        let order: Vec<usize> = if forward {
            (1..depth).collect()
        } else {
            (0..depth.saturating_sub(1)).rev().collect()
        };
        for index in order {
            let Some(layer) = layers.get_mut(index) else {
                continue;
            };
            let mut keyed: Vec<(f64, f64, usize)> = layer
                .iter()
                .map(|at| {
                    let here = position.get(*at).copied().unwrap_or_default();
                    let around = nodes.get(*at).map_or(&[][..], |node| {
                        if forward { &node.before } else { &node.behind }
                    });
                    (mean(around, &position).unwrap_or(here), here, *at)
                })
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            *layer = keyed.into_iter().map(|(.., at)| at).collect();
            place(&mut position, layer);
        }
        let now = crossings(nodes, &layers);
        if now < fewest {
            fewest = now;
            best.clone_from(&layers);
        }
    }
    best
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand nodes at most")]
fn place(position: &mut [f64], layer: &[usize]) {
    for (index, at) in layer.iter().enumerate() {
        if let Some(slot) = position.get_mut(*at) {
            *slot = index as f64;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand nodes at most")]
fn mean(around: &[usize], position: &[f64]) -> Option<f64> {
    if around.is_empty() {
        return None;
    }
    let sum: f64 = around.iter().filter_map(|at| position.get(*at)).sum();
    Some(sum / around.len() as f64)
}

/// How many pairs of edges cross, by counting inversions in a tree of sums.
fn crossings(nodes: &[Node], layers: &[Vec<usize>]) -> usize {
    let mut count = 0;
    for pair in layers.windows(2) {
        let [left, right] = pair else { continue };
        let position: BTreeMap<usize, usize> = right
            .iter()
            .enumerate()
            .map(|(at, node)| (*node, at))
            .collect();
        let mut sums = vec![0_usize; right.len() + 1];
        let mut seen = 0;
        for node in left {
            let mut ends: Vec<usize> = nodes
                .get(*node)
                .map(|node| node.behind.as_slice())
                .unwrap_or_default()
                .iter()
                .filter_map(|to| position.get(to).copied())
                .collect();
            ends.sort_unstable();
            for end in &ends {
                let mut at = end + 1;
                let mut before = 0;
                while at > 0 {
                    before += sums.get(at).copied().unwrap_or_default();
                    at &= at - 1;
                }
                count += seen - before;
            }
            for end in &ends {
                let mut at = end + 1;
                while let Some(slot) = sums.get_mut(at) {
                    *slot += 1;
                    at += at & at.wrapping_neg();
                }
                seen += 1;
            }
        }
    }
    count
}

/// The heights: as near to the middle of the neighbours as the order allows.
#[expect(clippy::cast_precision_loss, reason = "a few thousand nodes at most")]
fn settle(nodes: &mut [Node], layers: &mut [Vec<usize>]) {
    for layer in layers.iter() {
        for (index, at) in layer.iter().enumerate() {
            if let Some(node) = nodes.get_mut(*at) {
                node.y = index as f64 * (HEIGHT + ROW_GAP);
            }
        }
    }
    let depth = layers.len();
    for sweep in 0..SWEEPS {
        let order: Vec<usize> = if sweep % 2 == 0 {
            (0..depth).collect()
        } else {
            (0..depth).rev().collect()
        };
        for index in order {
            let Some(layer) = layers.get(index) else {
                continue;
            };
            let heights: Vec<f64> = nodes.iter().map(|node| node.y).collect();
            let wanted: Vec<f64> = layer
                .iter()
                .filter_map(|at| {
                    let node = nodes.get(*at)?;
                    let before = mean(&node.before, &heights);
                    let behind = mean(&node.behind, &heights);
                    Some(match (before, behind) {
                        (Some(a), Some(b)) => f64::midpoint(a, b),
                        (Some(one), None) | (None, Some(one)) => one,
                        (None, None) => node.y,
                    })
                })
                .collect();
            let heights: Vec<f64> = layer
                .iter()
                .filter_map(|at| nodes.get(*at))
                .map(|node| if node.of.is_some() { HEIGHT } else { ROW_GAP })
                .collect();
            for (at, y) in layer.iter().zip(spread(&wanted, &heights)) {
                if let Some(node) = nodes.get_mut(*at) {
                    node.y = y;
                }
            }
        }
    }
}

/// The places nearest to those that are wanted, in their order and apart: isotonic regression of what is left when the gaps are taken out.
#[expect(clippy::cast_precision_loss, reason = "a few thousand nodes at most")]
fn spread(wanted: &[f64], heights: &[f64]) -> Vec<f64> {
    let mut offsets = Vec::with_capacity(wanted.len());
    let mut offset = 0.0;
    for (index, height) in heights.iter().enumerate() {
        offsets.push(offset);
        let next = heights.get(index + 1).copied().unwrap_or(HEIGHT);
        // Boxes are placed by their upper edge, as if all were as high as a box: what passes needs less room around it.
        offset += f64::midpoint(*height, next) + ROW_GAP;
    }
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for (want, offset) in wanted.iter().zip(&offsets) {
        blocks.push((want - offset, 1));
        while let [.., (a, n), (b, m)] = blocks.as_slice()
            && a > b
        {
            let merged = ((a * *n as f64 + b * *m as f64) / (n + m) as f64, n + m);
            blocks.truncate(blocks.len() - 2);
            blocks.push(merged);
        }
    }
    blocks
        .iter()
        .flat_map(|(level, count)| std::iter::repeat_n(*level, *count))
        .zip(&offsets)
        .map(|(level, offset)| level + offset)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn data_flows_to_the_right_and_a_single_way_is_straight() {
        let layout = layout(&[100.0; 4], &[(2, 1), (1, 3), (3, 0)]);
        let xs: Vec<f64> = [2, 1, 3, 0].iter().map(|at| layout.places[*at].x).collect();
        assert!(xs.is_sorted() && xs[0] < xs[1]);
        assert!(layout.places.iter().all(|place| place.y == 0.0));
        assert_eq!(layout.ways.len(), 3);
    }

    #[test]
    fn a_cycle_and_a_loop_end() {
        let layout = layout(&[100.0; 3], &[(0, 1), (1, 2), (2, 0), (1, 1)]);
        assert_eq!(layout.ways.len(), 3);
        let back = layout.ways.iter().find(|way| way.to == 0).unwrap();
        assert!(back.points.first().unwrap().0 > back.points.last().unwrap().0);
    }

    #[test]
    fn two_ways_that_need_not_cross_do_not() {
        // a → d, b → c, where c is named before d.
        let layout = layout(&[100.0; 5], &[(0, 3), (1, 2), (4, 0), (4, 1)]);
        let y = |at: usize| layout.places[at].y;
        assert_eq!(y(0) < y(1), y(3) < y(2));
    }

    proptest! {
        #[test]
        fn no_box_covers_another_and_every_edge_is_drawn(
            count in 1_usize..24,
            pairs in proptest::collection::vec((0_usize..24, 0_usize..24), 0..40),
        ) {
            let widths: Vec<f64> = (0..count).map(|at| 80.0 + 10.0 * f64::from(u32::try_from(at).unwrap())).collect();
            let layout = layout(&widths, &pairs);
            for (a, one) in layout.places.iter().enumerate() {
                prop_assert!(one.x >= 0.0 && one.y >= -0.01 && one.x + one.width <= layout.width + 0.01 && one.y + HEIGHT <= layout.height + 0.01);
                for other in &layout.places[a + 1..] {
                    let apart = one.x + one.width <= other.x || other.x + other.width <= one.x
                        || one.y + HEIGHT <= other.y + 0.01 || other.y + HEIGHT <= one.y + 0.01;
                    prop_assert!(apart, "{one:?} {other:?}");
                }
            }
            let wanted: BTreeSet<(usize, usize)> = pairs.into_iter().filter(|(a, b)| a != b && *a < count && *b < count).collect();
            let drawn: BTreeSet<(usize, usize)> = layout.ways.iter().map(|way| (way.from, way.to)).collect();
            prop_assert_eq!(drawn, wanted);
        }
    }
}
