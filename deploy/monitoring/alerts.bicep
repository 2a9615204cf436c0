// Alert rules for azfn's security events: one for each thing that should wake somebody, by the queries of queries/.
metadata description = 'Alert rules for the security events of azfn.'

@description('Where the rules are kept.')
param location string = resourceGroup().location

@description('The resource id of the Application Insights resource that the function app writes to.')
param applicationInsightsId string

@description('The resource ids of the action groups that are told. Without any, alerts are only seen in the portal.')
param actionGroupIds string[] = []

@description('How grave what looks like an attack is: 0 to 3. Faults, and what the worker says, are one less grave.')
@minValue(0)
@maxValue(3)
param severity int = 1

@description('For how long a rule that has told somebody does not tell again; attacks that the broker sees always are.')
@allowed(['PT1H', 'PT2H', 'PT6H', 'P1D'])
param quietFor string = 'PT1H'

@description('Protections that you do without, by event, event/destination or event/reason: see protections-off.kql.')
param acceptedWeaknesses string[] = []

@description('Whether an app is told of that serves requests and logs nothing for a day. See silence.kql for who may.')
param watchesSilence bool = true

@description('What the names of the rules begin with.')
param namePrefix string = 'azfn'

// origin: whose word a rule goes by. No rule takes both: who can write an event of the worker, any caller nearly, must
//   not be able to keep one of the broker quiet. null: by there being no line.
// dimensions: an alert of its own for each of their values, which the mail names. Only columns whose values the broker
//   or the catalogue bounds: made-up functions would be a mail each, and mails are limited.
// quietFor: null tells each event. Where there is one, the window is as long: what happened meanwhile is told after it.
var rules = [
  {
    name: 'malicious'
    title: 'An attack, very likely'
    query: loadTextContent('queries/malicious.kql')
    origin: 'broker'
    dimensions: ['app', 'event']
    isAttack: true
    every: 'PT5M'
    window: 'PT5M'
    quietFor: null
  }
  {
    name: 'refusals'
    title: 'A function was refused a secret or a service'
    query: loadTextContent('queries/refusals.kql')
    origin: 'broker'
    dimensions: ['app', 'event', 'function']
    isAttack: true
    every: 'PT5M'
    window: 'PT5M'
    quietFor: null
  }
  {
    name: 'malicious-worker'
    title: 'Somebody tries to attack, as the worker says'
    query: loadTextContent('queries/malicious.kql')
    origin: 'worker'
    dimensions: ['app', 'event']
    isAttack: false
    every: 'PT5M'
    window: quietFor
    quietFor: quietFor
  }
  {
    name: 'refusals-worker'
    title: 'A function was refused a setting, as the worker says'
    query: loadTextContent('queries/refusals.kql')
    origin: 'worker'
    dimensions: ['app', 'event']
    isAttack: false
    every: 'PT5M'
    window: quietFor
    quietFor: quietFor
  }
  {
    name: 'protections-off'
    title: 'A protection is off, or stand-ins are in use'
    query: replace(
      loadTextContent('queries/protections-off.kql'),
      'dynamic([])',
      'dynamic(${string(acceptedWeaknesses)})'
    )
    origin: 'broker'
    dimensions: ['app', 'event']
    isAttack: true
    every: 'PT5M'
    window: quietFor
    quietFor: quietFor
  }
  {
    name: 'crash-loop'
    title: 'A handler or its workers crash again and again'
    query: loadTextContent('queries/crash-loop.kql')
    origin: 'broker'
    dimensions: ['app', 'loop']
    isAttack: false
    every: 'PT15M'
    window: quietFor
    quietFor: quietFor
  }
  {
    name: 'secrets-unavailable'
    title: 'A secret is stale, refused, missing, expired or can\'t be had'
    query: loadTextContent('queries/secrets-unavailable.kql')
    origin: 'broker'
    dimensions: ['app', 'event', 'secret']
    isAttack: false
    every: 'PT5M'
    window: quietFor
    quietFor: quietFor
  }
  {
    name: 'identity'
    title: 'The managed identity gives no tokens'
    query: loadTextContent('queries/identity.kql')
    origin: 'broker'
    dimensions: ['app', 'resource']
    isAttack: false
    every: 'PT5M'
    window: quietFor
    quietFor: quietFor
  }
  {
    name: 'log-suppressed'
    title: 'Lines of the log were dropped'
    query: loadTextContent('queries/log-suppressed.kql')
    origin: 'broker'
    dimensions: ['app', 'suppressed']
    isAttack: false
    every: 'PT5M'
    window: quietFor
    quietFor: quietFor
  }
  {
    name: 'silence'
    title: 'An app serves requests, and logs nothing any more'
    query: loadTextContent('queries/silence.kql')
    origin: null
    dimensions: ['app']
    isAttack: false
    every: 'PT1H'
    window: 'P2D'
    quietFor: 'P1D'
  }
]

// None resolves itself: that an attack is over is for a person to say.
resource alert 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: '${namePrefix}-${rule.name}'
    location: location
    kind: 'LogAlert'
    properties: {
      displayName: '${namePrefix}: ${rule.title}'
      description: 'Its rows: queries/${replace(rule.name, '-worker', '')}.kql. What to do: docs/security-events.md.'
      enabled: rule.name != 'silence' || watchesSilence
      severity: rule.isAttack ? severity : severity + 1
      scopes: [applicationInsightsId]
      evaluationFrequency: rule.every
      windowSize: rule.window
      autoMitigate: false
      muteActionsDuration: rule.quietFor
      criteria: {
        allOf: [
          {
            query: rule.origin == null ? rule.query : '${rule.query}| where origin == "${rule.origin}"\n'
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            dimensions: map(rule.dimensions, name => { name: name, operator: 'Include', values: ['*'] })
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: actionGroupIds
      }
    }
  }
]
