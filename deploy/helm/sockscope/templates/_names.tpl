{{- define "sockscope.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (ternary .Release.Name "default" .Values.serviceAccount.create) }}
{{- end }}

{{/* What a workload is selected by: a list of the root and the workload's name. */}}
{{- define "sockscope.selector" -}}
app.kubernetes.io/name: sockscope
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "sockscope.labels" -}}
{{ include "sockscope.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
{{- end }}
