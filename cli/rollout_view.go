package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/deviceops/deviceops"
)

// rolloutView shows a rollout while it goes on: on a terminal a picture that is
// drawn over itself, elsewhere a line for each change.
type rolloutView struct {
	app   *app
	shown bool
	live  bool
	size  func() (width, height int) // of the terminal
	lines int                        // of the picture that stands there
	last  string
	pace  pace

	mu     sync.Mutex
	latest *deviceops.RolloutReport
}

func (a *app) rolloutView(shown bool) *rolloutView {
	return &rolloutView{app: a, shown: shown, live: a.terminal(), size: func() (int, int) { return terminalSize(a.Out) }}
}

// update shows what is new of a rollout.
func (v *rolloutView) update(r deviceops.RolloutReport, now time.Time) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.latest = &r
	return v.render(r, now)
}

// keepUp draws a picture anew from time to time, so that its clocks go on and its pace
// falls while nothing is new, until stop is called.
func (v *rolloutView) keepUp(every time.Duration) (stop func()) {
	if !v.live || !v.shown {
		return func() {}
	}
	ticker, done := time.NewTicker(every), make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				v.mu.Lock()
				if v.latest != nil {
					_ = v.render(*v.latest, v.app.Now()) // the next update tells if this fails
				}
				v.mu.Unlock()
			}
		}
	})
	return func() {
		ticker.Stop()
		close(done)
		running.Wait()
	}
}

func (v *rolloutView) render(r deviceops.RolloutReport, now time.Time) error {
	if !v.shown {
		return nil
	}
	width, _ := v.size()
	w := &screen{colors: v.app.colors(), now: now, width: width}
	v.pace.add(done(r), now)
	if !v.live {
		return v.news(w, r)
	}
	w.rollout(r)
	if p := v.pace.perMinute(); p > 0 {
		w.line("")
		w.line("pace     %.4g devices per minute%s", p, v.pace.left(remaining(r)))
	}
	return v.draw(w.String())
}

// draw replaces the picture that stands on the terminal: the cursor goes up to
// its first line, and what is below is cleared. A line that is wider than the
// terminal takes several of its lines; what is higher is left out, as the cursor
// cannot go up to where it began.
func (v *rolloutView) draw(picture string) error {
	var b strings.Builder
	if v.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", v.lines)
	}
	width, height := v.size()
	v.lines = 0
	for line := range strings.Lines(picture) {
		takes := max(1, (printed(strings.TrimSuffix(line, "\n"))+width-1)/width)
		if v.lines+takes >= height {
			break
		}
		v.lines += takes
		b.WriteString(line)
	}
	_, err := io.WriteString(v.app.Out, b.String())
	return err
}

// news writes a line if what it would say has changed.
func (v *rolloutView) news(w *screen, r deviceops.RolloutReport) error {
	parts := make([]string, 0, len(r.Rollout.Rings))
	for _, ring := range r.Rollout.Rings {
		if ring.Status == deviceops.RingPending {
			continue
		}
		c := ring.Counts
		text := fmt.Sprintf("%s %s %d/%d", ring.Name, ring.Status, c.Finished(), c.Targeted)
		if bad := c.Failed + c.Rejected + c.TimedOut + c.Unhealthy; bad > 0 {
			text += fmt.Sprintf(" (%d bad)", bad)
		}
		parts = append(parts, text)
	}
	text := strings.Join(append([]string{string(r.Rollout.Status)}, parts...), "  ")
	if r.Rollout.Status == deviceops.RolloutPaused {
		text += ": " + r.Rollout.StatusReason
	}
	if text == v.last {
		return nil
	}
	v.last = text
	_, err := fmt.Fprintf(v.app.Out, "%s  %s\n", w.now.Format("15:04:05"), text)
	return err
}

// close leaves the last picture where it is.
func (v *rolloutView) close() error {
	if v.lines == 0 {
		return nil
	}
	v.lines = 0
	_, err := io.WriteString(v.app.Out, "\n")
	return err
}

func done(r deviceops.RolloutReport) (n int) {
	for _, ring := range r.Rollout.Rings {
		n += ring.Counts.Finished()
	}
	return n
}

func remaining(r deviceops.RolloutReport) (n int) {
	for _, ring := range r.Rollout.Rings {
		n += ring.Counts.Open()
	}
	return n
}

// paceWindow is the time over which a pace is measured.
const paceWindow = 30 * time.Second

// pace measures how fast something is done.
type pace struct{ samples []paceSample }

type paceSample struct {
	at time.Time
	n  int
}

func (p *pace) add(n int, at time.Time) {
	p.samples = append(p.samples, paceSample{at, n})
	for len(p.samples) > 2 && at.Sub(p.samples[0].at) > paceWindow {
		p.samples = p.samples[1:]
	}
}

// perMinute gives how many were done per minute lately; 0 when that is not known.
func (p *pace) perMinute() float64 {
	if len(p.samples) < 2 {
		return 0
	}
	first, last := p.samples[0], p.samples[len(p.samples)-1]
	minutes := last.at.Sub(first.at).Minutes()
	if minutes <= 0 {
		return 0
	}
	return float64(last.n-first.n) / minutes
}

// left tells how long n more take at this pace.
func (p *pace) left(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %s for the %d that are left of all rings", rounded(time.Duration(float64(n)/p.perMinute()*float64(time.Minute))), n)
}
