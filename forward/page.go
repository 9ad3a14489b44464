package forward

import (
	"context"
	"encoding/json"
	"errors"
	"hash/maphash"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// maxRetryAfter bounds how long a target may ask to be left alone.
const maxRetryAfter = time.Hour

// record is one value to deliver.
type record struct {
	key    string          // the idempotency key: the event's id, with .N where an event has several values
	event  deviceops.Event //
	body   json.RawMessage
	topic  string // of MQTT
	number int    // of the event in its page
}

// page is a piece of the stream that is being delivered.
type page struct {
	*runner
	events  []deviceops.Event
	records []*record

	mu    sync.Mutex
	open  []int // records not done, by event
	taken []bool
	dead  []deviceops.DeadLetter
	told  outcome // what news gave
}

// shape makes the records of events. What cannot be shaped is dead.
func (r *runner) shape(ctx context.Context, events []deviceops.Event) (*page, error) {
	p := &page{runner: r, events: events, open: make([]int, len(events)), taken: make([]bool, len(events))}
	devices := map[string]*deviceops.Device{}
	if r.version.UsesDevice {
		var err error
		if devices, err = r.config.Store.FindDevices(ctx, deviceIDs(events)); err != nil {
			return nil, err
		}
	}
	for i, e := range events {
		records, err := r.recordsOf(e, devices[e.Device])
		if err != nil {
			p.bury(i, deviceops.DeadShape, deviceops.ErrorMessage(err))
			continue
		}
		for _, record := range records {
			record.number = i
			p.records = append(p.records, record)
		}
		p.open[i] = len(records)
	}
	return p, nil
}

func deviceIDs(events []deviceops.Event) []string {
	seen, ids := map[string]bool{}, []string{}
	for _, e := range events {
		if e.Device != "" && !seen[e.Device] {
			seen[e.Device] = true
			ids = append(ids, e.Device)
		}
	}
	return ids
}

func (r *runner) recordsOf(e deviceops.Event, device *deviceops.Device) ([]*record, error) {
	f, err := r.version.Forward(e, device)
	if err != nil {
		return nil, err
	}
	records := make([]*record, len(f.Values))
	for i, value := range f.Values {
		body, err := json.Marshal(value)
		if err != nil {
			return nil, deviceops.Errorf(deviceops.EINVALID, "the shape is not JSON: %w", err)
		}
		records[i] = &record{key: Key(e.ID, i, len(f.Values)), event: e, body: body}
		if records[i].topic, err = topicOf(r.target, f); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func topicOf(t *dsl.RouteTarget, f dsl.Forwarding) (string, error) {
	if t.MQTT == nil {
		return "", nil
	}
	return t.MQTT.Topic(f)
}

// Key gives the idempotency key of value number of an event that has so many.
func Key(event int64, number, of int) string {
	key := strconv.FormatInt(event, 10)
	if of > 1 {
		key += "." + strconv.Itoa(number)
	}
	return key
}

// deliver returns when everything is delivered or dead, or ctx has ended. Until
// then it calls meanwhile now and then: a page may take a slow target hours.
func (p *page) deliver(ctx context.Context, meanwhile func()) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		p.deliverAll(ctx)
	}()
	ticker := time.NewTicker(p.config.Lease / 5)
	defer ticker.Stop()
	for {
		select {
		case <-over:
			return
		case <-ticker.C:
			meanwhile()
		}
	}
}

func (p *page) deliverAll(ctx context.Context) {
	var wg sync.WaitGroup
	for _, lane := range p.lanes() {
		wg.Go(func() {
			for len(lane) > 0 && ctx.Err() == nil {
				n := min(p.sink.most(), len(lane))
				p.send(ctx, lane[:n])
				lane = lane[n:]
			}
		})
	}
	wg.Wait()
}

var laneSeed = maphash.MakeSeed()

// lanes shares the records out among deliveries that go on at once: by device,
// so that its events stay in order, or one after the other.
func (p *page) lanes() [][]*record {
	lanes := make([][]*record, p.target.Parallel)
	for i, record := range p.records {
		lane := i / p.sink.most()
		if p.target.Ordered {
			lane = int(maphash.String(laneSeed, record.event.Device) % uint64(len(lanes)))
		}
		lane %= len(lanes)
		lanes[lane] = append(lanes[lane], record)
	}
	return lanes
}

// send delivers some records. Those that the target will never take are found by
// halving.
func (p *page) send(ctx context.Context, records []*record) {
	for try := 1; ; try++ {
		err := p.sink.send(ctx, records)
		var no *refused
		switch {
		case err == nil:
			p.took()
			p.done(records)
			return
		case ctx.Err() != nil:
			return
		case errors.As(err, &no) && len(records) > 1:
			p.send(ctx, records[:len(records)/2])
			p.send(ctx, records[len(records)/2:])
			return
		case errors.As(err, &no):
			p.took() // it answers
			p.refuse(records, deviceops.DeadRefused, no.Error())
			return
		case p.target.Retry.Times >= 0 && try > p.target.Retry.Times:
			p.failed(ctx, err, try)
			p.refuse(records, deviceops.DeadGaveUp, deviceops.ErrorMessage(err))
			return
		}
		sleep(ctx, p.failed(ctx, err, try))
	}
}

// done notes that records were delivered.
func (p *page) done(records []*record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range records {
		p.open[r.number]--
		p.taken[r.number] = true
	}
}

// refuse makes the events of records dead letters.
func (p *page) refuse(records []*record, code, reason string) {
	for _, r := range records {
		p.bury(r.number, code, reason)
		p.mu.Lock()
		p.open[r.number]--
		p.mu.Unlock()
	}
}

// bury makes an event a dead letter, unless it is one.
func (p *page) bury(number int, code, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.events[number]
	for _, letter := range p.dead {
		if letter.Event == e.ID {
			return
		}
	}
	p.dead = append(p.dead, deviceops.DeadLetter{
		TargetKey: p.key, Event: e.ID, Device: e.Device, Type: e.Type, ReceivedAt: e.ReceivedAt,
		Code: code, Reason: reason, Version: p.version.Version, At: p.config.Now(),
	})
}

// place gives the id up to which all is done: upTo, or that before the first
// event that is not.
func (p *page) place(from, upTo int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, e := range p.events {
		if p.open[i] > 0 {
			return from
		}
		from = e.ID
	}
	return upTo
}

// news gives what became of events since it was asked last.
func (p *page) news() outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	var delivered int64 // of which something was
	for _, taken := range p.taken {
		if taken {
			delivered++
		}
	}
	news := outcome{delivered: delivered - p.told.delivered, dead: p.dead[len(p.told.dead):]}
	p.told = outcome{delivered: delivered, dead: p.dead}
	return news
}

// jitter spreads tries, so that those that failed together do not come together.
func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5+1)
}
