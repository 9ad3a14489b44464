package dsl

import "github.com/deviceops/deviceops"

// maxWork is how many units of work one evaluation may take: a visited value, an
// iteration of a predicate and 64 bytes of text count one each. It keeps an
// evaluation well below the second after which a workflow task counts as stuck.
const maxWork = 250_000

// budget counts the work of one evaluation. expr bounds memory but not time, and
// a few nested predicates over a thousand items would block a worker.
type budget struct{ left int }

func newBudget() *budget { return &budget{left: maxWork} }

func (b *budget) spend(n int) error {
	b.left -= n
	if b.left < 0 {
		return deviceops.Errorf(deviceops.EEXHAUSTED, "the expression needs more than %d steps of work: move it into an action or make its data smaller", maxWork)
	}
	return nil
}
