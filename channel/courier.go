package channel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/deviceops/deviceops"
)

// CourierConfig gives a Courier what it works with. Store and Channels are
// required.
type CourierConfig struct {
	Store    deviceops.Store
	Channels deviceops.Channels

	Every time.Duration    // between looks; default 1 s
	Keep  time.Duration    // how long what was sent is remembered; default 7 days
	Now   func() time.Time // default time.Now
	Log   *slog.Logger     // default slog.Default
}

// batch is how many notifications of a channel are sent one after the other.
const batch = 20

// pruneEvery is how often what was sent is forgotten.
const pruneEvery = time.Hour

// Courier sends the notifications that are queued. Each channel is served by
// itself, so that one that is slow delays no other. Any number of couriers may
// run.
type Courier struct {
	config CourierConfig
	mu     sync.Mutex
	busy   map[string]bool // channels that are being served, as account/channel
	work   sync.WaitGroup
	pruned time.Time
}

// NewCourier makes a Courier.
func NewCourier(c CourierConfig) *Courier {
	c.Every = cmp.Or(c.Every, time.Second)
	c.Keep = cmp.Or(c.Keep, 7*24*time.Hour)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Courier{config: c, busy: map[string]bool{}}
}

// Run sends until ctx ends, and then waits for what is under way.
func (c *Courier) Run(ctx context.Context) error {
	defer c.work.Wait()
	ticker := time.NewTicker(c.config.Every)
	defer ticker.Stop()
	for failing := false; ; {
		err := c.Look(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			c.config.Log.Warn("notifications cannot be sent", "error", err)
		}
		failing = err != nil
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Look begins to send what is due. It does not wait for it.
func (c *Courier) Look(ctx context.Context) error {
	now := c.config.Now()
	claimed, err := c.config.Store.ClaimNotices(ctx, now, batch, c.busyNow())
	if err != nil {
		return err
	}
	ways := map[string][]deviceops.Notice{}
	for _, n := range claimed {
		ways[n.Account+"/"+n.Channel] = append(ways[n.Account+"/"+n.Channel], n)
	}
	for way, notices := range ways {
		c.occupy(way, true)
		c.work.Go(func() {
			defer c.occupy(way, false)
			c.serve(ctx, notices)
		})
	}
	if now.Sub(c.pruned) < pruneEvery {
		return nil
	}
	c.pruned = now
	return c.config.Store.PruneNotices(ctx, now.Add(-c.config.Keep))
}

// Wait waits for what is under way.
func (c *Courier) Wait() { c.work.Wait() }

func (c *Courier) busyNow() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for way, busy := range c.busy {
		if busy {
			all = append(all, way)
		}
	}
	return all
}

func (c *Courier) occupy(way string, busy bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if busy {
		c.busy[way] = true
		return
	}
	delete(c.busy, way)
}

// serve sends notifications of one channel until their lease may be over. When
// the system is not there the rest is left for later, in its order.
func (c *Courier) serve(ctx context.Context, notices []deviceops.Notice) {
	until := c.config.Now().Add(deviceops.NoticeLease / 2)
	for i, n := range notices {
		if ctx.Err() != nil || c.config.Now().After(until) {
			return
		}
		err := c.send(ctx, n)
		if ctx.Err() != nil {
			return
		}
		if later := (deviceops.Later{}); errors.As(err, &later) && later.Unasked {
			c.postpone(ctx, notices[i:], c.config.Now().Add(later.After))
			return
		}
		c.note(ctx, &n, err)
		if deviceops.ErrorCode(err) == deviceops.EUNAVAILABLE {
			c.postpone(ctx, notices[i+1:], n.DueAt)
			return
		}
	}
}

// postpone leaves a system alone that is not there: the others wait as long as
// the one that found out, without it counting as a try of theirs.
func (c *Courier) postpone(ctx context.Context, notices []deviceops.Notice, until time.Time) {
	for _, n := range notices {
		n.DueAt = until
		if err := c.config.Store.SaveNotice(ctx, n); err != nil {
			c.config.Log.Warn("a notification waits for the end of its lease", "notice", n.ID, "error", err)
		}
	}
}

func (c *Courier) send(ctx context.Context, n deviceops.Notice) error {
	var device deviceops.Device
	if n.Device != "" {
		found, err := c.config.Store.FindDevice(ctx, n.Device)
		if err != nil && deviceops.ErrorCode(err) != deviceops.ENOTFOUND {
			return err
		}
		device = found
	}
	text := n.Text
	if n.More > 0 {
		text = fmt.Sprintf("%s\n… and %d more", text, n.More)
	}
	_, err := c.config.Channels.Call(ctx, deviceops.ChannelCall{
		ID: n.ID, Account: n.Account, Channel: n.Channel, Operation: deviceops.ChannelNotify, Device: device, Run: n.Run,
		Args: map[string]any{"title": n.Title, "text": text, "severity": n.Severity, "key": n.Key, "more": n.More},
	})
	return err
}

// note writes what became of an attempt. What was given up is an event too.
func (c *Courier) note(ctx context.Context, n *deviceops.Notice, cause error) {
	now := c.config.Now()
	n.Attempted(cause, now)
	err := c.config.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		if err := tx.SaveNotice(ctx, *n); err != nil || n.Status != deviceops.NoticeDead {
			return err
		}
		return tx.AppendEvents(ctx, []deviceops.Event{{
			Account: n.Account, Device: n.Device, Type: deviceops.EventNoticeDead, Severity: "warning", At: now, ReceivedAt: now,
			Data: map[string]any{"channel": n.Channel, "notice": n.ID, "title": n.Title, "error": n.Error, "attempts": n.Attempts},
		}})
	})
	switch {
	case err != nil:
		c.config.Log.Warn("it is not noted what became of a notification; it may be sent twice", "notice", n.ID, "error", err)
	case n.Status == deviceops.NoticeDead:
		c.config.Log.Warn("a notification was given up; deviceops channels redrive sends it again", "channel", n.Channel, "notice", n.ID, "error", n.Error)
	}
}
