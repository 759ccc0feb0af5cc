"""The five articles that the suite re-implements."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Article:
    id: str
    title: str
    author: str
    frameworks: str  # the article's own


ARTICLES = {
    article.id: article
    for article in (
        Article("autoencoders", "深度学习自动编码器还能用于数据生成？这篇文章告诉你答案", "Liao Xingyu", "PyTorch"),
        Article(
            "vae_notes", "变分自编码器记录与tensorflow代码及pytorch代码分析", "CSDN, 2018-05-13", "TensorFlow, PyTorch"
        ),
        Article("gan", "GAN入门实践", "Mo", "PyTorch"),
        Article("aae", "PyTorch实现对抗自编码器", "专知", "PyTorch"),
        Article("infogan", "InfoGAN：一种无监督生成方法 | 经典论文复现", "Huang Tao", "PaddlePaddle"),
    )
}
