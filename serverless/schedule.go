package serverless

import (
	"time"

	"go.yaml.in/yaml/v4"
)

// schedule translates the schedule of the workflow into an automation that runs
// it, whether or not the run before has ended.
func (b *builder) schedule(n *yaml.Node, name string) *yaml.Node {
	o := b.object(n, "schedule", "every", "cron", "after", "on")
	b.unsupported(o, "schedule", "write an automation with the trigger, which gives the workflow its input", "after", "on")
	schedule := mapping()
	if cron := o.get("cron"); cron != nil {
		text, _ := b.text(cron, "cron")
		put(schedule, "cron", textNodeOf(text))
	}
	if every := o.get("every"); every != nil {
		d, ok := b.duration(every, "every")
		if ok && d < time.Minute {
			b.Report(every, codeUnsupported, "write a minute or more", "a schedule starts something once a minute at most")
		}
		put(schedule, "every", durationNode(d))
	}
	return mapping("automation", textNodeOf(name), "trigger", mapping("schedule", schedule),
		"concurrency", textNodeOf("parallel"), "run", textNodeOf(name+"@latest"))
}
