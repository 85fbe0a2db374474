# AzureOpenAI of the openai package, unchanged but for its endpoint, in front of
# Azure's two APIs and of other dialects.

use lib 't/lib';
use Test::LLM;
use FindBin ();

my $dir = "$FindBin::Bin/../../build/sdk";
plan skip_all => 'the client packages are not installed (build/sdk)'
    unless -d "$dir/node_modules/openai";

my $up = Test::LLM::Upstream->new;
sub json { [ [ json => fixture_text($_[0]) ] ] }
sub http { [ [ 'http-file', fixture($_[0]) ] ] }
sub sse { [ [ slice => '200 1' ], [ 'sse-file', fixture($_[0]) ] ] }

my $stream = ok_stream([ 'One', ', two', ', three.' ], usage => { prompt_tokens => 9, completion_tokens => 6, total_tokens => 15 });
my %openai = (tools => json('openai/chat.tools.response.json'), stream => $stream);

# what each kind of provider says to a model of that name
my %says = (
    o => { %openai, text => json('openai/chat.response.json'), limited => http('openai/error.429-rate-limit-requests.http') },
    z => { %openai, text => json('azure/chat.response.json'), limited => http('azure/error.429.http'),
           filtered => http('azure/error.400-content-filter.http'), embed => json('openai/embeddings.response.json'),
           responses => json('openai/responses.response.json'), speech => [ [ json => '{"text":"Hello gateway, this is a test."}' ] ] },
    v => { %openai, text => json('azure/chat.response.json'), limited => http('azure/error.429.http') },
    a => { text => json('anthropic/messages.response.json'), tools => json('anthropic/messages.tools.response.json'),
           stream => sse('anthropic/messages.stream.sse'), limited => http('anthropic/error.429.http') },
    w => { speech => json('whispercpp/inference.json.response.json') },
);
for my $d (keys %says) {
    for my $m (keys %{ $says{$d} }) {
        my $match = $m eq 'responses' ? { path => "/$d/openai/responses*" } : $d eq 'z' ? { path => "/z/openai/deployments/$m/*" }
                  : $d eq 'w' ? { path => '/w/inference' } : { path => "/$d/*", model => $m };
        $up->on($match => $says{$d}{$m});
    }
}
my $models = join '', map { my $d = $_; map { "    llm_model $d-$_ { provider $d; id $_; }\n" } sort keys %{ $says{$d} } } sort keys %says;

my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-00001' }, conf => <<"EOC")->start;
    llm_zone t:16m;
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_provider o { dialect openai; base_url http://127.0.0.1:%%UP%%/o/v1; keys k; breaker off; }
    llm_provider z { dialect azure; base_url http://127.0.0.1:%%UP%%/z/openai; keys k; breaker off; }
    llm_provider v { dialect azure; base_url http://127.0.0.1:%%UP%%/v/openai/v1; keys k; breaker off; }
    llm_provider a { dialect anthropic; base_url http://127.0.0.1:%%UP%%/a; keys k; breaker off; }
    llm_provider w { dialect whispercpp; base_url http://127.0.0.1:%%UP%%/w; breaker off; }
$models
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /openai/ { llm_pass \$llm_model; }
    }
EOC

local @ENV{qw(LLM_SDK DIALECTS BASE FIXTURES)} = ($dir, 'o z v a', 'http://127.0.0.1:' . $gw->port, fixture(''));
my $ended = 0;
open my $out, '-|', 'node', "$FindBin::Bin/azure.cjs" or die "node: $!";
while (my $line = <$out>) {
    my $c = eval { from_json($line) } or do { diag $line; next };
    $c->{end} and do { $ended = 1; next };
    ok($c->{ok}, $c->{name}) or diag explain $c->{detail};
}
close $out;
ok($ended, 'ran to its end');

my @foreign = grep { my $q = $_; grep { ($q->{h}{$_} // '') =~ /the-callers-own|a-token/ } keys %{ $q->{h} } } $up->received;
is(scalar @foreign, 0, 'no provider saw the key or the token of the client');

finish();
