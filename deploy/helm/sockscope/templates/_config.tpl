{{/* The agents' configurations: what the chart sets, and over it what the values say. */}}
{{- define "sockscope.config.sockets" -}}
{{- $page := .Values.sockets.page }}
{{- $own := dict "paths" (dict "cgroup" "/host/sys/fs/cgroup") "export" (dict "prometheus" (dict "listen" (printf "%s:%v" $page.host $page.port))) }}
{{- toYaml (mergeOverwrite $own (deepCopy .Values.sockets.config)) }}
{{- end }}

{{- define "sockscope.config.probes" -}}
{{- $listen := printf "0.0.0.0:%v" .Values.probes.page.port }}
{{- $own := dict "sockets" false "host" false "export" (dict "prometheus" (dict "listen" $listen)) }}
{{- toYaml (mergeOverwrite $own (deepCopy .Values.probes.config)) }}
{{- end }}
