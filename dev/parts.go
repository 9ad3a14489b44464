package dev

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/deviceops/deviceops"
)

// stopTimeout bounds the end of the whole stack.
const stopTimeout = 10 * time.Second

// Part is one piece of the stack with a life of its own.
type Part struct {
	Name string

	// After names the parts that must run before this one starts and until it
	// has stopped. Names that are not part of the stack are ignored: such a
	// part runs in another process.
	After []string

	// Start returns when the part is ready for use.
	Start func(ctx context.Context) error

	// Stop returns when the part is gone. It is called once, and only after
	// Start succeeded.
	Stop func(ctx context.Context) error

	// Done, when given, is asked after Start. A channel that closes before
	// Stop means that the part ended by itself.
	Done func() <-chan struct{}
}

// Parts are the running parts of a stack.
type Parts struct {
	parts  []*runningPart
	failed chan error
	stop   sync.Once
	err    error
}

type runningPart struct {
	Part
	ready   chan struct{} // closed when Start is over
	stopped chan struct{} // closed when the part is no longer there
	running bool
}

// StartParts starts every part as soon as those it needs are ready, so that
// independent ones start side by side. When one fails the others are stopped
// and the error names it.
func StartParts(ctx context.Context, parts ...Part) (*Parts, error) {
	p := &Parts{failed: make(chan error, len(parts))}
	for _, part := range parts {
		p.parts = append(p.parts, &runningPart{Part: part, ready: make(chan struct{}), stopped: make(chan struct{})})
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, len(parts))
	for _, part := range p.parts {
		go func() { errs <- p.start(ctx, part) }()
	}
	var first error
	for range p.parts {
		if err := <-errs; err != nil && first == nil {
			first = err
			cancel()
		}
	}
	if first != nil {
		return nil, errors.Join(first, p.Stop(context.WithoutCancel(ctx)))
	}
	return p, nil
}

func (p *Parts) start(ctx context.Context, part *runningPart) error {
	defer close(part.ready)
	for _, needed := range p.needs(part) {
		select {
		case <-needed.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := part.Start(ctx); err != nil {
		return named(part.Name, err)
	}
	part.running = true
	if part.Done != nil {
		go p.watch(part, part.Done())
	}
	return nil
}

// watch reports a part that ends although nobody stopped it.
func (p *Parts) watch(part *runningPart, done <-chan struct{}) {
	select {
	case <-part.stopped:
	case <-done:
		p.failed <- deviceops.Errorf(deviceops.EUNAVAILABLE, "%s ended by itself", part.Name)
	}
}

// needs are the parts of this stack that part starts after.
func (p *Parts) needs(part *runningPart) []*runningPart {
	var needed []*runningPart
	for _, other := range p.parts {
		if slices.Contains(part.After, other.Name) {
			needed = append(needed, other)
		}
	}
	return needed
}

// Failed gives the error of a part that ends by itself.
func (p *Parts) Failed() <-chan error { return p.failed }

// Stop ends every part once those that need it are gone, within ten seconds.
// The error names the parts that did not end well. Further calls return the
// same.
func (p *Parts) Stop(ctx context.Context) error {
	p.stop.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		errs := make(chan error, len(p.parts))
		for _, part := range p.parts {
			go func() { errs <- p.stopOne(ctx, part) }()
		}
		var all []error
		for range p.parts {
			all = append(all, <-errs)
		}
		p.err = errors.Join(all...)
	})
	return p.err
}

func (p *Parts) stopOne(ctx context.Context, part *runningPart) error {
	defer close(part.stopped)
	for _, other := range p.parts {
		if slices.Contains(other.After, part.Name) {
			<-other.stopped
		}
	}
	if !part.running {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- part.Stop(ctx) }()
	select {
	case err := <-done:
		return named(part.Name, err)
	case <-ctx.Done():
		return deviceops.Errorf(deviceops.ETIMEOUT, "%s did not stop in time", part.Name)
	}
}

// named says which part an error is of, and keeps its code.
func named(part string, err error) error {
	if err == nil {
		return nil
	}
	return &deviceops.Error{
		Code:    deviceops.ErrorCode(err),
		Message: fmt.Sprintf("%s: %v", part, err),
		Err:     err,
	}
}
