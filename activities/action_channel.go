package activities

import (
	"context"

	"github.com/deviceops/deviceops"
)

var _ = addAction(NewAction(About{
	Name: "channel.call", Summary: "performs an action of a channel, such as creating a work order",
	Description: "Actions are declared by the channel, with their arguments and what is read from the answer. " +
		"The engine never repeats a call by itself: `retry:` does, no sooner than the system asks. `error.retryable` says whether trying again may help; " +
		"`error.code` is `unavailable` (it is away, or asks for time), `forbidden` (the credentials), `rejected` (it says no) or `failed` (its answer cannot be read).",
	Example: `
- id: order
  action: channel.call
  with:
    channel: servicenow
    action: create-work-order
    args: { summary: Replace the panel, location: "${{ device.labels.site }}" }
  retry: { times: 5, delay: 5s..2m }`,
}, callChannel))

type callChannelArgs struct {
	Channel string         `json:"channel" required:"true" max:"64" channel:"" doc:"the channel"`
	Action  string         `json:"action" required:"true" max:"64" doc:"the action that it declares"`
	Args    map[string]any `json:"args" doc:"the arguments of the action"`
}

type callChannelOutput struct {
	Answer map[string]any `json:"answer" doc:"what the channel reads from the response"`
}

func callChannel(ctx context.Context, c *Call, args callChannelArgs) (callChannelOutput, error) {
	if c.deps.Channels == nil {
		return callChannelOutput{}, deviceops.Errorf(deviceops.ENOTFOUND, "there is no channel %s", args.Channel)
	}
	run, err := c.channelRun(ctx)
	if err != nil {
		return callChannelOutput{}, err
	}
	call := deviceops.ChannelCall{
		ID: c.ID, Account: c.Account, Channel: args.Channel, Operation: deviceops.ChannelAction(args.Action), Run: run, Args: args.Args,
	}
	if c.in.Device != "" {
		if call.Device, err = c.Device(ctx); err != nil {
			return callChannelOutput{}, err
		}
	}
	answer, err := c.deps.Channels.Call(ctx, call)
	if err != nil {
		return callChannelOutput{}, channelFailure(err)
	}
	return callChannelOutput{Answer: answer.Output}, nil
}

// channelFailure makes the answer of another system out of an error: a call may
// have had its effect, so whether to repeat it is the workflow's decision.
func channelFailure(err error) error {
	failed := deviceops.RunError{Code: deviceops.ErrorCode(err), Message: deviceops.ErrorMessage(err)}
	failed.Retryable = failed.Code == deviceops.EUNAVAILABLE
	if wait := deviceops.RetryDelay(err); wait > 0 {
		failed.Data = map[string]any{retryAfterField: int64(wait.Seconds())}
	}
	return Fail(failed)
}
