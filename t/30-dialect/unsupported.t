# What becomes of a request that a target has no words for: by default, and with
# drop, skip and error of the model or its provider.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_provider a { dialect anthropic; base_url http://127.0.0.1:%%UP%%/a; breaker off; }
    llm_provider strict { dialect anthropic; base_url http://127.0.0.1:%%UP%%/a; breaker off; unsupported skip; }
    llm_provider g { dialect gemini; base_url http://127.0.0.1:%%UP%%/g; breaker off; unsupported drop; }
    llm_provider o { dialect openai; base_url http://127.0.0.1:%%UP%%/o; breaker off; unsupported error; }
    llm_model plain { provider a; id claude-sonnet-5; }
    llm_model drop { provider a; id claude-sonnet-5; unsupported drop; }
    llm_model skip { provider strict; id claude-sonnet-5; }
    llm_model error { provider strict; id claude-sonnet-5; unsupported error; }
    llm_model tidy { provider strict; id claude-sonnet-5; drop seed logit_bias; }
    llm_model gemini { provider g; id gemini-2.5-flash; }
    llm_model gpt { provider o; id gpt-4o; }
    llm_model blind { provider o; id gpt-4o; can chat stream; unsupported drop; }
    llm_route plain-first { target plain; target gpt; }
    llm_route drop-first { target drop; target gpt; }
    llm_route skip-first { target skip; target gpt; }
    llm_route error-first { target error; target gpt; }
    llm_route blind-first { target blind; target gpt; }
    llm_route skips { target skip; target tidy; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { llm_retry off; llm_pass $llm_model; }
    }
EOC

my %answer = ('/a/*' => fixture_text('anthropic/messages.response.json'), '/g/*' => fixture_text('gemini/generate.response.json'),
    '/o/*' => fixture_text('openai/chat.response.json'));

# asks a name; (response, what went out as JSON, "status model dropped param")
sub ask {
    my ($name, $path, %more) = @_;
    $up->reset;
    $up->on($_ => [ [ json => $answer{$_} ] ]) for keys %answer;
    my $r = $gw->post($path, to_json({ model => $name, messages => [ { role => 'user', content => 'Hi' } ], %more }));
    my @q = $up->received;
    my $error = $r->json->{error} || {};
    my $said = join ' ', $r->status, $r->status == 200 ? $r->header('x-llm-model') : $r->header('x-llm-error'),
        map { $_ // '-' } $r->header('x-llm-dropped'), $error->{param};
    return ($r, @q ? from_json($q[0]{body}) : undef, $said);
}

my $CHAT = '/v1/chat/completions';
my %optional = (seed => 7);
my %choices = (n => 3);
my %sound = (messages => [ { role => 'user', content => [ { type => 'input_audio', input_audio => { data => 'AAAA', format => 'wav' } } ] } ]);

# what is asked for, of whom, and what comes of it
for (
    [ plain         => \%optional, '200 plain seed -' ],
    [ plain         => \%choices,  '400 caller_unsupported - n' ],
    [ 'plain-first' => \%optional, '200 plain seed -' ],
    [ 'plain-first' => \%choices,  '200 gpt - -' ],
    [ drop          => \%optional, '200 drop seed -' ],
    [ drop          => \%choices,  '200 drop n -' ],
    [ 'drop-first'  => \%choices,  '200 drop n -' ],
    [ drop          => \%sound,    '400 caller_unsupported - messages' ],
    [ 'drop-first'  => \%sound,    '200 gpt - -' ],
    [ skip          => {},         '200 skip - -' ],
    [ skip          => \%optional, '400 caller_unsupported - seed' ],
    [ 'skip-first'  => {},         '200 skip - -' ],
    [ 'skip-first'  => \%optional, '200 gpt - -' ],
    [ 'skip-first'  => \%choices,  '200 gpt - -' ],
    [ skips         => \%optional, '200 tidy seed -' ],
    [ error         => {},         '200 error - -' ],
    [ 'error-first' => \%optional, '400 caller_unsupported - seed' ],
    [ 'error-first' => \%choices,  '400 caller_unsupported - n' ],
    [ 'error-first' => \%sound,    '400 caller_unsupported - messages' ],
    [ gpt           => { %optional, %choices }, '200 gpt - -' ],
    [ gemini        => { n => 9 }, '200 gemini n -' ],
) {
    my ($name, $more, $want) = @$_;
    my ($r, $out, $said) = ask($name, $CHAT, %$more);
    is($said, $want, "$name: " . (join ' ', map { $_ eq 'messages' ? 'sound' : $_ } sort keys %$more) || 'nothing odd');
}

my ($r, $out, $said) = ask('error', $CHAT, %optional);
like($r->json->{error}{message}, qr/parameter/, 'the message');
is($up->count, 0, '... and nothing was sent');

# what drop sends
($r, $out) = ask('gemini', $CHAT, n => 9);
is($out->{generationConfig}{candidateCount}, 8, 'as many choices as there may be');
my @tools = ({ type => 'function', function => { name => 'f' } }, { type => 'web_search' });
my $allowed = { type => 'allowed_tools', allowed_tools => { mode => 'auto', tools => [ $tools[0] ] } };

for ([ 'drop', sub { $_[0]{tools}[0]{name} } ], [ 'gemini', sub { $_[0]{tools}[0]{functionDeclarations}[0]{name} } ]) {
    my ($name, $first) = @$_;
    ($r, $out, $said) = ask($name, $CHAT, tools => \@tools, modalities => [ 'text', 'audio' ], audio => { voice => 'a' });
    is($said, "200 $name audio, modalities, tools -", "$name: tools that are no functions, sound");
    is($first->($out), 'f', '... the functions are sent');
    ($r, $out, $said) = ask($name, $CHAT, tools => [ $tools[1] ], tool_choice => 'required');
    ok(!exists $out->{tools} && !exists $out->{tool_choice} && !exists $out->{toolConfig}, "$name: no tool is left, nor its choice");
}
($r, $out, $said) = ask('drop', $CHAT, tools => [ $tools[0] ], tool_choice => $allowed);
is_deeply([ $said, $out->{tool_choice} ], [ '200 drop tool_choice -', { type => 'auto' } ], 'an unknown kind of choice');
($r, $out, $said) = ask('plain', $CHAT, tools => [ $tools[0] ], tool_choice => $allowed);
is($said, '400 caller_unsupported - tool_choice', '... otherwise refused');

# Messages: what the front has no words for counts as well
my @message = (max_tokens => 9);
($r, $out, $said) = ask('gpt', '/v1/messages', @message, container => 'x');
is($r->status, 400, 'Messages: refused');
like($r->json->{error}{message}, qr/parameter/, '... in words');
($r, $out, $said) = ask('skip', '/v1/messages', @message, container => 'x');
is($said, '200 skip - -', "... but not where the client's own bytes are sent");

# what a model cannot do is decided in front of all this
($r, $out, $said) = ask('blind-first', $CHAT, tools => [ $tools[0] ]);
is($said, '200 gpt - -', 'can: stepped over');

finish();
