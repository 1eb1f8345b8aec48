package main

import (
	"encoding/json"
	"os"
	"time"

	"github.com/influxdata/telegraf"
)

// shower is an accumulator that prints a line of JSON a metric, at once: the plugin goes on writing to the maps.
type shower struct {
	telegraf.Accumulator
	lines *json.Encoder
}

func (s shower) AddFields(_ string, fields map[string]interface{}, tags map[string]string, _ ...time.Time) {
	if err := s.lines.Encode(map[string]any{"tags": tags, "fields": fields}); err != nil {
		die(err)
	}
}

func (s shower) AddError(err error) {
	die(err)
}

func show(protocols []string) {
	plugin := newPlugin(protocols)
	if err := plugin.Gather(shower{lines: json.NewEncoder(os.Stdout)}); err != nil {
		die(err)
	}
}
