//! A map that forgets keys that were not used lately. So an unbounded number of keys cannot fill the memory.
//!
//! It has two generations (as in grafana/loki, `pkg/util/map.go`). A key that is used moves to the young generation. When
//! that is full, the old generation is forgotten, and the young one becomes the old one.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Remembers up to twice as many keys as one generation holds.
#[derive(Debug)]
pub(super) struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// The most keys of a generation (count).
    size: usize,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    /// An empty map. A generation has at most `size` keys.
    pub(super) fn new(size: usize) -> Generations<K, V> {
        Generations { young: HashMap::new(), old: HashMap::new(), size }
    }

    /// The value of a key. It is made if the key is not in the map.
    pub(super) fn get<Q>(&mut self, key: &Q, make: impl FnOnce() -> V) -> &mut V
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.renew(key);
        self.young.entry(key.to_owned()).or_insert_with(make)
    }

    /// The value of a key, if the key is in the map.
    pub(super) fn find<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.make_room();
            return Some(self.young.entry(key).or_insert(value));
        }
        self.young.get_mut(key)
    }

    /// Moves a key to the young generation, or makes room for it there.
    fn renew<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if self.find(key).is_none() {
            self.make_room();
        }
    }

    fn make_room(&mut self) {
        if self.young.len() >= self.size {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_remembered() {
        let mut map: Generations<String, u32> = Generations::new(2);
        *map.get("a", || 1) += 1;
        for (key, made) in [("b", 5), ("c", 6)] {
            assert_eq!(*map.get(key, || made), made);
        }
        // Old by now, and young again.
        assert_eq!(map.find("a").copied(), Some(2));
        for key in ["d", "e"] {
            map.get(key, || 0);
        }
        assert_eq!(map.find("b").copied(), None, "not asked for in two generations");
        assert_eq!(*map.get("a", || 9), 2);
    }

    #[test]
    fn it_is_bounded() {
        let mut map: Generations<String, ()> = Generations::new(10);
        for n in 0..1000 {
            map.get(n.to_string().as_str(), || ());
            map.find((n / 2).to_string().as_str());
            assert!(map.young.len() + map.old.len() <= 20);
        }
    }
}
