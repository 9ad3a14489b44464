package simulator

import (
	"context"
	"sync"
)

// mailbox holds what has still to happen to a device. At most one worker is at
// it at a time, so the device's own fields need no lock.
type mailbox struct {
	mu    sync.Mutex
	queue []func()
	busy  bool // it is with a worker, or on its way to one
}

// put adds do and reports whether the mailbox must be given to a worker.
func (m *mailbox) put(do func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue = append(m.queue, do)
	if m.busy {
		return false
	}
	m.busy = true
	return true
}

// take gives all that has gathered; nothing means that the worker is done.
func (m *mailbox) take() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.queue
	m.queue = nil
	m.busy = len(all) > 0
	return all
}

// post puts do into the device's mailbox. It never blocks: the channel has room
// for every device, and each is in it at most once.
func (d *device) post(do func()) {
	if d.box.put(do) {
		d.fleet.ready <- d
	}
}

// work is one worker: it empties mailboxes until ctx ends.
func (s *Simulator) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case d := <-s.ready:
			d.drain()
		}
	}
}

// drain does what is in the mailbox. What the device has to say goes out after
// each item, once what it must remember is stored.
func (d *device) drain() {
	for batch := d.box.take(); len(batch) > 0; batch = d.box.take() {
		for _, do := range batch {
			do()
			d.flush()
		}
	}
}
