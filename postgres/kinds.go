package postgres

// kinds tells records apart that differ in more than what names them. Many rows of
// one batch say the same, which is sent once for all: reading a row of many arrays
// costs PostgreSQL as much as looking up a row of a table. A row names its kind by
// number, from 1, and the statement takes each column from the kind's place in an
// array; use it where kinds are few, since that place is counted off.
type kinds[K comparable] struct {
	list   []K
	number map[K]int
	rows   []int // by row
}

// add gives the next row its kind.
func (k *kinds[K]) add(kind K) {
	n, known := k.number[kind]
	if !known {
		if k.number == nil {
			k.number = map[K]int{}
		}
		k.list = append(k.list, kind)
		n = len(k.list)
		k.number[kind] = n
	}
	k.rows = append(k.rows, n)
}
