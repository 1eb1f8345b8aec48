/** Something that ends at a time. */
export type Dated = {
  readonly deadline: number;
  /** Its place in the heap; -1 outside of it. */
  place: number;
};

export type Deadlines<T extends Dated> = {
  add(item: T): void;
  remove(item: T): void;
  /** The one that is due first. */
  first(): T | undefined;
};

/** A binary heap by deadline, out of which an item goes as soon as it ends, since most end long before theirs. */
export const createDeadlines = <T extends Dated>(): Deadlines<T> => {
  const heap: T[] = [];

  const put = (item: T, place: number): void => {
    heap[place] = item;
    item.place = place;
  };

  const up = (item: T, from: number): void => {
    let hole = from;
    while (hole > 0) {
      const parent = heap[(hole - 1) >> 1];
      if (parent === undefined || parent.deadline <= item.deadline) break;
      put(parent, hole);
      hole = (hole - 1) >> 1;
    }
    put(item, hole);
  };

  const down = (item: T, from: number): void => {
    let hole = from;
    for (;;) {
      const left = heap[2 * hole + 1];
      const right = heap[2 * hole + 2];
      const child = left !== undefined && right !== undefined && right.deadline < left.deadline ? right : left;
      if (child === undefined || child.deadline >= item.deadline) break;
      const place = child.place;
      put(child, hole);
      hole = place;
    }
    put(item, hole);
  };

  return {
    add: (item) => up(item, heap.length),
    remove: (item) => {
      const { place } = item;
      if (place < 0) return;
      item.place = -1;
      const last = heap.pop();
      if (last === undefined || last === item) return;
      if (last.deadline < item.deadline) up(last, place);
      else down(last, place);
    },
    first: () => heap[0],
  };
};
