package dsl

import "github.com/deviceops/deviceops"

// maxWork is how many units of work one evaluation may take: a visited value, an
// iteration of a predicate and 64 bytes of text count one each. It keeps an
// evaluation well below the second after which a workflow task counts as stuck.
const maxWork = 1_000_000

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

// charge spends what visiting v costs. Lists and maps may share parts, and then
// their walk is longer than their memory is large: that is what is bounded here.
func (b *budget) charge(v any) error {
	switch v := v.(type) {
	case string:
		return b.spend(1 + len(v)/64)
	case []any:
		return b.chargeAll(v)
	case map[string]any:
		for _, item := range v { // a sum: the order does not matter
			if err := b.charge(item); err != nil {
				return err
			}
		}
	case []string:
		return b.spend(1 + len(v))
	}
	return b.spend(1)
}

func (b *budget) chargeAll(list []any) error {
	for _, item := range list {
		if err := b.charge(item); err != nil {
			return err
		}
	}
	return b.spend(1)
}
