package workflows

import (
	"container/list"
	"sync"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// programsKept is how many compiled programs a worker keeps.
const programsKept = 256

// programs are the compiled definitions of runs.
type programs = compilations[dsl.Program]

func newPrograms(size int) *programs { return newCompilations(size, compile) }

// compilations keeps what sources compile to by their hash, the least recently
// used making room. It is a cache of a pure function: what a workflow sees of it
// does not depend on what it holds.
type compilations[T any] struct {
	compile func(source string) (*T, error)

	mu    sync.Mutex
	size  int
	byKey map[string]*list.Element
	used  *list.List // of *compiled[T], the most recently used first
}

type compiled[T any] struct {
	key   string
	value *T
}

func newCompilations[T any](size int, compile func(source string) (*T, error)) *compilations[T] {
	return &compilations[T]{compile: compile, size: size, byKey: map[string]*list.Element{}, used: list.New()}
}

// get gives what a source compiles to. EINVALID if it does not compile.
//
// The lock is held only for a look into the map, never while a workflow is
// blocked, so it cannot change the order of anything that a workflow does.
//
//workflowcheck:ignore
func (p *compilations[T]) get(hash, source string) (*T, error) {
	p.mu.Lock()
	found, ok := p.byKey[hash]
	if ok {
		p.used.MoveToFront(found)
	}
	p.mu.Unlock()
	if ok {
		return found.Value.(*compiled[T]).value, nil
	}
	value, err := p.compile(source)
	if err == nil {
		p.add(&compiled[T]{key: hash, value: value})
	}
	return value, err
}

//workflowcheck:ignore
func (p *compilations[T]) add(c *compiled[T]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.byKey[c.key]; ok {
		return
	}
	p.byKey[c.key] = p.used.PushFront(c)
	for p.used.Len() > p.size {
		oldest := p.used.Back()
		p.used.Remove(oldest)
		delete(p.byKey, oldest.Value.(*compiled[T]).key)
	}
}

// compile compiles a source. A defect of the compiler ends the run instead of
// blocking its workflow task for ever.
//
// The compiler is a pure function; that it uses maps and regular expressions
// inside says nothing about its result.
//
//workflowcheck:ignore
func compile(source string) (program *dsl.Program, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			program, err = nil, deviceops.Errorf(deviceops.EINTERNAL, "the compiler failed: %v", fault)
		}
	}()
	program, found := dsl.Compile(source)
	if err := found.Err(); err != nil {
		return nil, err
	}
	if program == nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the definition holds no workflow")
	}
	return program, nil
}
